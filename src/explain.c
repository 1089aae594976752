/*
 * explain.c - sst2_explain(): what moved a text's score.
 *
 * The text is classified once unchanged, and once per unit (a word or a sentence) with the unit's pieces replaced by [MASK]. A
 * unit's weight is the part of the margin between the two labels that goes with it.
 *
 * A sentence ends at a line's end; after "." "!" "?" or U+2026 if white space follows; and after U+3002, U+FF01 and U+FF1F
 * always. Closing quotes and brackets, and more such marks, belong to it. A sentence consists of words, so what lies between
 * two sentences is in neither.
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "classifier.h"
#include "rows.h"

#define MOST_UNITS 512

/* A word or a sentence: tokens first..last - 1. */
typedef struct Unit
{
    int         first,
                last;
} Unit;

/* A text and its units. */
typedef struct Explanation
{
    SstWords    words;
    Unit       *units;          /* [count] */
    int         count;
    double     *margins;        /* [1 + count]: of the whole text, and without each unit */
} Explanation;

/* ---- units ----------------------------------------------------------------------------------- */

static const char *const ends[] = {".", "!", "?", "\xE2\x80\xA6", NULL};
static const char *const wide_ends[] = {"\xE3\x80\x82", "\xEF\xBC\x81", "\xEF\xBC\x9F", NULL};
static const char *const closings[] = {
    "\"", "'", ")", "]", "}", "*",
    "\xE2\x80\x99", "\xE2\x80\x9D", "\xC2\xBB", "\xE3\x80\x8D", "\xE3\x80\x8F", "\xEF\xBC\x89", NULL
};

/* Is this token's word in the list? */
static bool
is_one_of(const SstWords *w, int token, const char *const *list)
{
    const sst_span span = w->spans[token];

    for (; *list; list++)
        if (span.to - span.from == strlen(*list) && memcmp(w->utf8 + span.from, *list, span.to - span.from) == 0)
            return true;
    return false;
}

static bool
has_newline(const char *text, size_t len)
{
    return memchr(text, '\n', len) || memchr(text, '\r', len);
}

/* Does a sentence begin with this token's word? The token is not the text's first. */
static bool
begins_sentence(const SstWords *w, int token)
{
    const size_t gap = w->spans[token].from - w->spans[token - 1].to;
    int         end = token - 1;

    if (has_newline(w->utf8 + w->spans[token - 1].to, gap))
        return true;
    if (is_one_of(w, token, ends) || is_one_of(w, token, wide_ends) || (gap == 0 && is_one_of(w, token, closings)))
        return false;
    while (end > 1 && is_one_of(w, end, closings) && w->spans[end].from == w->spans[end - 1].to)
        end--;
    return is_one_of(w, end, wide_ends) || (gap > 0 && is_one_of(w, end, ends));
}

static bool
begins_word(const SstWords *w, int token)
{
    return w->spans[token].from != w->spans[token - 1].from;
}

typedef bool (*Beginning) (const SstWords *w, int token);

static Beginning
unit_argument(text *name)
{
    const char *unit = text_to_cstring(name);

    if (strcmp(unit, "word") == 0)
        return begins_word;
    if (strcmp(unit, "sentence") == 0)
        return begins_sentence;
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
             errmsg("unrecognized unit: \"%s\"", unit),
             errhint("The units are \"word\" and \"sentence\"; a model is named by model => '...'.")));
}

static void
find_units(Explanation *e, Beginning begins)
{
    const int   tokens = e->words.reading.tokens;

    e->units = palloc(tokens * sizeof(Unit));
    for (int i = 1; i < tokens - 1; i++)
    {
        if (i == 1 || (begins_word(&e->words, i) && begins(&e->words, i)))
            e->units[e->count++].first = i;
        e->units[e->count - 1].last = i + 1;
    }
    if (e->count > MOST_UNITS)
        ereport(ERROR,
                (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                 errmsg("text has too many units to explain: %d", e->count),
                 errdetail("At most %d are explained.", MOST_UNITS),
                 begins == begins_word ? errhint("Explain it by sentences: sst2_explain(text, 'sentence').") : 0));
}

/* ---- weights --------------------------------------------------------------------------------- */

static void
check_labels(const sst_model *model)
{
    if (model->shape.labels != 2)
        ereport(ERROR,
                (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                 errmsg("sst2_explain() needs a model of two labels"),
                 errdetail("This model has %u, and a weight is a share in the margin between two.", model->shape.labels)));
}

/* The text and all its masked copies go through one queue. */
static void
classify_masked(Explanation *e, Classifier *c)
{
    const sst_model *model = sst_classifier_model(c);
    const SstWords *w = &e->words;
    const size_t bytes = w->reading.tokens * sizeof(int32_t);
    float       (*logits)[2] = palloc((1 + e->count) * sizeof(*logits));
    int32_t    *ids = palloc(bytes);

    sst_classifier_add_ids(c, w->ids, w->reading.tokens, logits[0]);
    for (int u = 0; u < e->count; u++)
    {
        memcpy(ids, w->ids, bytes);
        for (int i = e->units[u].first; i < e->units[u].last; i++)
            ids[i] = model->vocab.mask;
        sst_classifier_add_ids(c, ids, w->reading.tokens, logits[1 + u]);
    }
    sst_classifier_flush(c);
    e->margins = palloc((1 + e->count) * sizeof(double));
    for (int i = 0; i < 1 + e->count; i++)
        e->margins[i] = (double) logits[i][1] - logits[i][0];
}

static void
add_rows(Explanation *e, const SstRows *rows)
{
    SstPlace    place = e->words.place;

    for (int u = 0; u < e->count; u++)
    {
        Datum       values[4];
        bool        nulls[4] = {false};
        SstPlace    from;

        sst_text_move(&place, e->words.spans[e->units[u].first].from);
        from = place;
        sst_text_move(&place, e->words.spans[e->units[u].last - 1].to);
        values[0] = PointerGetDatum(cstring_to_text_with_len(from.bytes, (int) (place.bytes - from.bytes)));
        values[1] = Int32GetDatum(from.characters + 1);
        values[2] = Int32GetDatum(place.characters - from.characters);
        values[3] = Float4GetDatum((float4) (e->margins[0] - e->margins[1 + u]));
        sst_rows_add(rows, values, nulls);
    }
}

/* The call (text, unit, model or NULL). */
PG_FUNCTION_INFO_V1(sst2_explain);
Datum
sst2_explain(PG_FUNCTION_ARGS)
{
    const SstRows rows = sst_rows_begin(fcinfo);
    Explanation e = {.count = 0};
    Beginning   begins;
    Classifier *c;

    if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
        return (Datum) 0;
    begins = unit_argument(PG_GETARG_TEXT_PP(1));
    c = sst_classifier_for(PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2)));
    check_labels(sst_classifier_model(c));
    e.words = sst_text_words(sst_classifier_model(c), PG_GETARG_DATUM(0));
    find_units(&e, begins);
    classify_masked(&e, c);
    add_rows(&e, &rows);
    return (Datum) 0;
}
