/*
 * text.c - between PostgreSQL's texts, in the server's encoding, and the core's, in UTF-8.
 *
 * We read every text, whatever the server's encoding. A character that UTF-8 lacks counts as U+FFFD, like bytes that are not
 * UTF-8. SQL_ASCII is not an encoding: we take its bytes for UTF-8, both ways.
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

/* All in bytes. */
#define FIRST_SLICE 8192        /* looked at first: enough for 512 tokens of prose */
#define NEXT_SLICE 32768        /* taken at once of a text that is read to its end */
#define CONVERTED_AT_ONCE 65536 /* a conversion takes four times as much memory */

/* For a character that the other encoding lacks. */
#define UTF8_SUBSTITUTE "\xEF\xBF\xBD"  /* U+FFFD, as for bytes that are not UTF-8 */
#define SERVER_SUBSTITUTE "?"

typedef struct Conversion
{
    int         from,
                to;             /* encodings */
    StringInfoData out;
    MemoryContext scratch;      /* of a single conversion */
} Conversion;

/* The conversion of text[0..len), or NULL if the other encoding lacks a character. */
static char *
try_conversion(const Conversion *c, const char *text, int len)
{
    MemoryContext old = MemoryContextSwitchTo(c->scratch);
    char       *volatile converted = NULL;

    /* needs no subtransaction: a conversion function holds nothing when it raises these two */
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

/* Append text[0..len), with a substitute for each character that the other encoding lacks. Halving finds these. */
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

/* Convert ASCII only: MULE_INTERNAL has no conversion to UTF-8. */
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

/* text[0..*len) in another server encoding: text itself, or palloc'd with a new *len. All these encodings include ASCII. */
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

/* Bytes of a text from one character to another, in the server's encoding and in UTF-8. */
typedef struct Slice
{
    const char *bytes;
    size_t      len;
    const char *utf8;
    size_t      utf8_len;
    struct varlena *copy;       /* holds bytes, or NULL */
} Slice;

/* size bytes of a text of total bytes, from the beginning of a character. Only these are read from TOAST and converted. */
static Slice
take_slice(Datum text, size_t from, size_t size, size_t total)
{
    struct varlena *value = (struct varlena *) DatumGetPointer(text);
    const bool  last = from + size == total;
    Slice       s = {.bytes = VARDATA_ANY(value) + from};

    if (VARATT_IS_EXTERNAL(value) || VARATT_IS_COMPRESSED(value))
    {
        s.copy = size < total ? detoast_attr_slice(value, (int32) from, (int32) size) : detoast_attr(value);
        s.bytes = VARDATA_ANY(s.copy);
    }
    s.len = last ? size : (size_t) pg_mbcliplen(s.bytes, (int) size, (int) size);
    if (s.len == 0)             /* not a character of this encoding */
        s.len = size;
    s.utf8_len = s.len;
    s.utf8 = convert(s.bytes, &s.utf8_len, GetDatabaseEncoding(), PG_UTF8);
    return s;
}

static void
free_slice(Slice *s)
{
    if (s->utf8 != s->bytes)
        pfree((void *) s->utf8);
    if (s->copy)
        pfree(s->copy);
}

/* Reads as much of a text's beginning as decides the ids and spans (or NULL) of what the model reads. */
static Slice
tokenize_beginning(const sst_model *model, Datum text, int32_t *ids, sst_span *spans, SstReading *reading)
{
    const size_t total = toast_raw_datum_size(text) - VARHDRSZ;
    size_t      size = Min(total, FIRST_SLICE);

    for (;;)
    {
        Slice       s = take_slice(text, 0, size, total);

        reading->tokens = (int) sst_tokenize_spans(&model->vocab, s.utf8, s.utf8_len, size < total, ids, spans,
                                                   model->shape.positions, &reading->truncated, &sst_interrupts);
        if (reading->tokens > 0)
            return s;
        free_slice(&s);
        size = size < total / 16 ? size * 16 : total;
    }
}

SstReading
sst_text_tokenize(const sst_model *model, Datum text, int32_t *ids)
{
    SstReading  reading;
    Slice       s = tokenize_beginning(model, text, ids, NULL, &reading);

    free_slice(&s);
    return reading;
}

/* ---- words ----------------------------------------------------------------------------------- */

SstWords
sst_text_words(const sst_model *model, Datum text)
{
    SstWords    w = {.ids = palloc(model->shape.positions * sizeof(int32_t)),
        .spans = palloc(model->shape.positions * sizeof(sst_span))};
    Slice       s = tokenize_beginning(model, text, w.ids, w.spans, &w.reading);

    w.utf8 = s.utf8;
    w.place.bytes = s.bytes;
    w.place.end = s.bytes + s.len;
    return w;
}

/* How many bytes of UTF-8 make up a character that has len bytes in the server's encoding. */
static size_t
utf8_length(const char *character, int len)
{
    size_t      utf8_len = len;
    const char *utf8 = convert(character, &utf8_len, GetDatabaseEncoding(), PG_UTF8);

    if (utf8 != character)
        pfree((void *) utf8);
    return utf8_len;
}

void
sst_text_move(SstPlace *place, size_t utf8)
{
    while (place->utf8 < utf8 && place->bytes < place->end)
    {
        const int   len = Min(pg_encoding_mblen(GetDatabaseEncoding(), place->bytes), place->end - place->bytes);

        CHECK_FOR_INTERRUPTS();
        place->utf8 += utf8_length(place->bytes, len);
        place->bytes += len;
        place->characters++;
    }
}

/* ---- all pieces ------------------------------------------------------------------------------ */

struct SstPieces
{
    const sst_vocab *vocab;
    Datum       text;           /* not compressed */
    size_t      total;          /* its bytes */
    size_t      at;             /* bytes taken so far */
    StringInfoData slice;       /* UTF-8 that is taken and not yet read */
    sst_word    word;
    int32_t    *ids;            /* [slice.maxlen + SST_MAX_WORD] */
    MemoryContext context;      /* of this struct and all in it */
};

/* Can the value be read from its middle? A compressed one cannot. */
static bool
has_slices(struct varlena *value)
{
    const Datum datum = PointerGetDatum(value);

    return VARATT_IS_EXTERNAL_ONDISK(value) && toast_datum_size(datum) + VARHDRSZ >= toast_raw_datum_size(datum);
}

SstPieces *
sst_pieces_begin(const sst_model *model, Datum text)
{
    MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "distilsst pieces", ALLOCSET_DEFAULT_SIZES);
    MemoryContext old = MemoryContextSwitchTo(context);
    SstPieces  *p = palloc0(sizeof(SstPieces));
    struct varlena *value = (struct varlena *) DatumGetPointer(text);

    p->vocab = &model->vocab;
    p->context = context;
    p->text = has_slices(value) ? text : PointerGetDatum(PG_DETOAST_DATUM_PACKED(text));
    p->total = toast_raw_datum_size(text) - VARHDRSZ;
    initStringInfo(&p->slice);
    MemoryContextSwitchTo(old);
    return p;
}

const int32_t *
sst_pieces_next(SstPieces *p, size_t *count)
{
    Slice       s;
    size_t      read;

    if (p->at == p->total)
        return NULL;
    s = take_slice(p->text, p->at, Min(p->total - p->at, NEXT_SLICE), p->total);
    p->at += s.len;
    appendBinaryStringInfo(&p->slice, s.utf8, (int) s.utf8_len);
    free_slice(&s);
    if (p->ids)
        pfree(p->ids);
    p->ids = MemoryContextAlloc(p->context, (p->slice.len + SST_MAX_WORD) * sizeof(int32_t));
    read = sst_tokenize_slice(p->vocab, &p->word, p->slice.data, p->slice.len, p->at == p->total, p->ids, count, &sst_interrupts);
    p->slice.len -= (int) read;
    memmove(p->slice.data, p->slice.data + read, p->slice.len);
    return p->ids;
}

void
sst_pieces_end(SstPieces *p)
{
    MemoryContextDelete(p->context);
}
