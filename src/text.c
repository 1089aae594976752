/*
 * text.c - between PostgreSQL's texts, in the server's encoding, and the core's, in UTF-8.
 *
 * Every text is read, whatever the server's encoding. A character that UTF-8 lacks counts as U+FFFD, as bytes do that
 * are no UTF-8. SQL_ASCII is no encoding: its bytes are taken for UTF-8 as they are, both ways.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "catalog/namespace.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "compat.h"
#include "models.h"
#include "text.h"

#define FIRST_SLICE 8192        /* bytes of a text that are looked at first: enough for 512 tokens of prose */

#define CONVERTED_AT_ONCE 65536 /* bytes: a conversion takes four times as much memory */

/* For a character that the other encoding lacks. */
#define UTF8_SUBSTITUTE "\xEF\xBF\xBD"  /* U+FFFD, as for bytes that are no UTF-8 */
#define SERVER_SUBSTITUTE "?"

typedef struct Conversion
{
    int         from,
                to;             /* encodings */
    StringInfoData out;
    MemoryContext scratch;      /* of a single conversion */
} Conversion;

/* The conversion of text[0..len), or NULL where a character has no equal. */
static char *
try_conversion(const Conversion *c, const char *text, int len)
{
    MemoryContext old = MemoryContextSwitchTo(c->scratch);
    char       *volatile converted = NULL;

    /* without a subtransaction, since a conversion function holds nothing when it raises these two */
    PG_TRY();
    {
        converted = (char *) pg_do_encoding_conversion((unsigned char *) text, len, c->from, c->to);
    }
    PG_CATCH();
    {
        const int   sqlstate = geterrcode();

        if (sqlstate != ERRCODE_UNTRANSLATABLE_CHARACTER && sqlstate != ERRCODE_CHARACTER_NOT_IN_REPERTOIRE)
            PG_RE_THROW();
        FlushErrorState();
    }
    PG_END_TRY();
    MemoryContextSwitchTo(old);
    return converted;
}

/* Append text[0..len) with a substitute for each character that has no equal; halving finds it. */
static void
append_converted(Conversion *c, const char *text, int len)
{
    const int   first = Min(pg_encoding_mblen(c->from, text), len);
    const char *converted = try_conversion(c, text, len);
    int         half;

    CHECK_FOR_INTERRUPTS();
    if (!converted && first == len)
        converted = c->to == PG_UTF8 ? UTF8_SUBSTITUTE : SERVER_SUBSTITUTE;
    if (converted)
        appendStringInfoString(&c->out, converted);
    MemoryContextReset(c->scratch);
    if (converted)
        return;
    half = Max(first, pg_encoding_mbcliplen(c->from, text, len, len / 2));
    append_converted(c, text, half);
    append_converted(c, text + half, len - half);
}

/* As far as ASCII goes: MULE_INTERNAL has no conversion to UTF-8. */
static void
append_ascii(Conversion *c, const char *text, int len)
{
    for (int i = 0; i < len; i += pg_encoding_mblen(c->from, text + i))
    {
        if (IS_HIGHBIT_SET(text[i]))
            appendStringInfoString(&c->out, c->to == PG_UTF8 ? UTF8_SUBSTITUTE : SERVER_SUBSTITUTE);
        else
            appendStringInfoChar(&c->out, text[i]);
    }
}

static bool
is_ascii(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (IS_HIGHBIT_SET(text[i]))
            return false;
    return true;
}

/* text[0..*len) in another server encoding, all of which include ASCII: text itself, or palloc'd and *len changed. */
static const char *
convert(const char *text, size_t *len, int from, int to)
{
    Conversion  c = {.from = from, .to = to};
    bool        possible;
    int         size;

    if (from == to || from == PG_SQL_ASCII || to == PG_SQL_ASCII || is_ascii(text, *len))
        return text;
    possible = OidIsValid(FindDefaultConversionProc(from, to));
    initStringInfo(&c.out);
    c.scratch = AllocSetContextCreate(CurrentMemoryContext, "distilsst conversion", ALLOCSET_DEFAULT_SIZES);
    for (size_t at = 0; at < *len; at += size)
    {
        size = pg_encoding_mbcliplen(from, text + at, (int) (*len - at), (int) Min(*len - at, CONVERTED_AT_ONCE));
        (possible ? append_converted : append_ascii) (&c, text + at, size);
    }
    MemoryContextDelete(c.scratch);
    *len = c.out.len;
    return c.out.data;
}

const char *
sst_text_to_utf8(Datum text, size_t *len)
{
    struct varlena *value = PG_DETOAST_DATUM_PACKED(text);

    *len = VARSIZE_ANY_EXHDR(value);
    return convert(VARDATA_ANY(value), len, GetDatabaseEncoding(), PG_UTF8);
}

Datum
sst_text_from_utf8(const char *utf8)
{
    size_t      len = strlen(utf8);
    const char *text = convert(utf8, &len, PG_UTF8, GetDatabaseEncoding());

    return PointerGetDatum(cstring_to_text_with_len(text, (int) len));
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
    utf8 = convert(bytes, &len, GetDatabaseEncoding(), PG_UTF8);
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
