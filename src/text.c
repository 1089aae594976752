/*
 * text.c - between PostgreSQL's texts, in the server's encoding, and the core's, in UTF-8.
 *
 * SQL_ASCII is no encoding: its bytes are taken for UTF-8 as they are, both ways.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "models.h"
#include "text.h"

#define FIRST_SLICE 8192        /* bytes of a text that are looked at first: enough for 512 tokens of prose */

static const char *
to_utf8(const char *text, size_t *len)
{
    const char *converted;

    if (GetDatabaseEncoding() == PG_SQL_ASCII)
        return text;
    converted = pg_server_to_any(text, (int) *len, PG_UTF8);
    if (converted != text)
        *len = strlen(converted);
    return converted;
}

const char *
sst_text_to_utf8(Datum text, size_t *len)
{
    struct varlena *value = PG_DETOAST_DATUM_PACKED(text);

    *len = VARSIZE_ANY_EXHDR(value);
    return to_utf8(VARDATA_ANY(value), len);
}

Datum
sst_text_from_utf8(const char *utf8)
{
    if (GetDatabaseEncoding() == PG_SQL_ASCII)
        return CStringGetTextDatum(utf8);
    return CStringGetTextDatum(pg_any_to_server(utf8, (int) strlen(utf8), PG_UTF8));
}

/*
 * Tokenize the first size bytes of a text that has total bytes. Returns 0 where more of it must be seen. Only the slice
 * is read from TOAST and converted.
 */
static size_t
tokenize_slice(const sst_model *model, Datum text, size_t size, size_t total, int32_t *ids, bool *truncated)
{
    struct varlena *value = (struct varlena *) DatumGetPointer(text);
    struct varlena *slice = value;
    bool        partial = size < total;
    const char *bytes,
               *utf8;
    size_t      len;
    size_t      count;

    if (VARATT_IS_EXTERNAL(value) || VARATT_IS_COMPRESSED(value))
        slice = partial ? detoast_attr_slice(value, 0, (int32) size) : detoast_attr(value);
    bytes = VARDATA_ANY(slice);
    len = partial ? (size_t) pg_mbcliplen(bytes, (int) size, (int) size) : size;
    utf8 = to_utf8(bytes, &len);
    count = sst_tokenize(&model->vocab, utf8, len, partial, ids, model->shape.positions, truncated, &sst_interrupts);
    if (utf8 != bytes)
        pfree((void *) utf8);
    if (slice != value)
        pfree(slice);
    return count;
}

SstReading
sst_text_tokenize(const sst_model *model, Datum text, int32_t *ids)
{
    size_t      total = toast_raw_datum_size(text) - VARHDRSZ;
    SstReading  reading;
    size_t      size = Min(total, FIRST_SLICE);

    for (;;)
    {
        reading.tokens = (int) tokenize_slice(model, text, size, total, ids, &reading.truncated);
        if (reading.tokens > 0)
            return reading;
        size = size < total / 16 ? size * 16 : total;
    }
}
