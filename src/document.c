/*
 * document.c - sst2_document(): a text of any length.
 *
 * A model of P positions reads R = P - 2 pieces at once. Of a longer text, of N pieces, it reads the beginning; or beginning and
 * end in one pass; or n = ceil((N - S) / (R - S)) windows, of which neighbours share S pieces. Window i begins at piece
 * i * (N - S) / n, rounded down, and ends S pieces behind the beginning of the next, so windows differ by at most one piece.
 *
 * We never hold a whole text: we count its pieces first, and then read them again into one window after the other.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "answer.h"
#include "classifier.h"

/* 64 and 128 for a model of 512 positions. The head and 382 pieces of the text's end fill one pass. */
#define SHARED_PIECES(positions) ((positions) / 8)
#define HEAD_PIECES(positions) ((positions) / 4)

#define WINDOWS_AT_ONCE 4       /* that wait for their logits: full ones of 512 tokens fill the queue */

typedef enum Method
{
    HEAD, HEAD_TAIL, WINDOWS
} Method;

/* A text, as it is read. */
typedef struct Document
{
    Classifier *classifier;
    const sst_model *model;
    uint32      labels;         /* C */
    uint32      room;           /* R */
    int32_t    *ids;            /* [P] of the pass being filled, from [CLS] on */
    uint32      filled;         /* its pieces */

    uint64      pieces;         /* N */
    uint32      shared;         /* S */
    uint64      windows;        /* n */
    uint64      window;         /* the one being filled, from 0 */

    float      *waiting;        /* [WINDOWS_AT_ONCE][C]: logits of windows */
    uint64      fresh[WINDOWS_AT_ONCE]; /* their pieces that no earlier window has */
    int         waits;

    double     *sum;            /* [C] of logits, times fresh pieces */
    float      *logits;         /* [C] of the text */
    float      *lowest;         /* [C] probabilities in the windows so far */
    float      *highest;
} Document;

static Method
method_argument(text *name)
{
    const char *method = text_to_cstring(name);

    if (strcmp(method, "windows") == 0)
        return WINDOWS;
    if (strcmp(method, "head") == 0)
        return HEAD;
    if (strcmp(method, "head+tail") == 0)
        return HEAD_TAIL;
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
             errmsg("unrecognized method: \"%s\"", method),
             errhint("The methods are \"windows\", \"head\" and \"head+tail\"; a model is named by model => '...'.")));
}

static Document
document_for(const char *model_name)
{
    Document    d = {.classifier = sst_classifier_for(model_name)};

    d.model = sst_classifier_model(d.classifier);
    d.labels = d.model->shape.labels;
    d.room = d.model->shape.positions - 2;
    d.shared = SHARED_PIECES(d.model->shape.positions);
    d.ids = palloc(d.model->shape.positions * sizeof(int32_t));
    d.ids[0] = d.model->vocab.cls;
    d.waiting = palloc(WINDOWS_AT_ONCE * d.labels * sizeof(float));
    d.sum = palloc0(d.labels * sizeof(double));
    d.logits = palloc(d.labels * sizeof(float));
    d.lowest = palloc(d.labels * sizeof(float));
    d.highest = palloc(d.labels * sizeof(float));
    for (uint32 i = 0; i < d.labels; i++)
    {
        d.lowest[i] = 1;
        d.highest[i] = 0;
    }
    return d;
}

/* ---- one pass -------------------------------------------------------------------------------- */

static void
note_probabilities(Document *d, const float *logits)
{
    float      *probabilities = palloc(d->labels * sizeof(float));

    sst_softmax(logits, d->labels, probabilities);
    for (uint32 i = 0; i < d->labels; i++)
    {
        d->lowest[i] = Min(d->lowest[i], probabilities[i]);
        d->highest[i] = Max(d->highest[i], probabilities[i]);
    }
    pfree(probabilities);
}

/* The text's logits are those of d->ids[0..tokens). */
static void
classify_at_once(Document *d, size_t tokens)
{
    sst_classifier_add_ids(d->classifier, d->ids, tokens, d->logits);
    sst_classifier_flush(d->classifier);
    note_probabilities(d, d->logits);
    d->windows = 1;
}

/* Puts the text's last pieces behind its first ones, which are in d->ids already. */
static void
read_tail(Document *d, Datum text)
{
    const uint32 head = HEAD_PIECES(d->model->shape.positions);
    const uint32 room = d->room - head;
    int32_t    *last = palloc(room * sizeof(int32_t));  /* piece i is last[i % room] */
    SstPieces  *pieces = sst_pieces_begin(d->model, text);
    const int32_t *ids;
    size_t      count;

    while ((ids = sst_pieces_next(pieces, &count)) != NULL)
        for (size_t i = 0; i < count; i++)
            last[d->pieces++ % room] = ids[i];
    sst_pieces_end(pieces);
    for (uint32 i = 0; i < room; i++)
        d->ids[1 + head + i] = last[(d->pieces + i) % room];
}

/* ---- windows --------------------------------------------------------------------------------- */

static void
count_pieces(Document *d, Datum text)
{
    SstPieces  *pieces = sst_pieces_begin(d->model, text);
    size_t      count;

    while (sst_pieces_next(pieces, &count) != NULL)
        d->pieces += count;
    sst_pieces_end(pieces);
    d->windows = (d->pieces - d->shared + d->room - d->shared - 1) / (d->room - d->shared);
}

/* The first piece of window i. */
static uint64
window_start(const Document *d, uint64 i)
{
    return i * (d->pieces - d->shared) / d->windows;
}

/* Classify the windows that wait, and add them up in their order. */
static void
sum_up(Document *d)
{
    sst_classifier_flush(d->classifier);
    for (int w = 0; w < d->waits; w++)
    {
        const float *logits = d->waiting + w * d->labels;

        for (uint32 i = 0; i < d->labels; i++)
            d->sum[i] += (double) d->fresh[w] * logits[i];
        note_probabilities(d, logits);
    }
    d->waits = 0;
}

/* The window is full: the next one begins with its last pieces. */
static void
end_window(Document *d)
{
    const uint64 stride = window_start(d, d->window + 1) - window_start(d, d->window);

    d->ids[1 + d->filled] = d->model->vocab.sep;
    d->fresh[d->waits] = d->window == 0 ? d->filled : stride;
    sst_classifier_add_ids(d->classifier, d->ids, d->filled + 2, d->waiting + d->waits * d->labels);
    if (++d->waits == WINDOWS_AT_ONCE)
        sum_up(d);
    memmove(d->ids + 1, d->ids + 1 + stride, d->shared * sizeof(int32_t));
    d->filled = d->shared;
    d->window++;
}

static void
add_piece(Document *d, int32_t id)
{
    d->ids[1 + d->filled++] = id;
    if (window_start(d, d->window) + d->filled == window_start(d, d->window + 1) + d->shared)
        end_window(d);
}

static void
classify_windows(Document *d, Datum text)
{
    SstPieces  *pieces = sst_pieces_begin(d->model, text);
    const int32_t *ids;
    size_t      count;

    while ((ids = sst_pieces_next(pieces, &count)) != NULL)
        for (size_t i = 0; i < count; i++)
            add_piece(d, ids[i]);
    sst_pieces_end(pieces);
    sum_up(d);
    for (uint32 i = 0; i < d->labels; i++)
        d->logits[i] = (float) (d->sum[i] / (double) d->pieces);
}

/* ---- the function ---------------------------------------------------------------------------- */

/* Returns how many tokens were read: pieces, [CLS] and [SEP]. */
static uint64
classify_document(Document *d, Datum text, Method method)
{
    const SstReading reading = sst_text_tokenize(d->model, text, d->ids);

    if (!reading.truncated || method == HEAD || d->room == 0)
    {
        sst_classifier_usage.truncated += reading.truncated;
        classify_at_once(d, reading.tokens);
        return reading.tokens;
    }
    if (method == HEAD_TAIL)
    {
        read_tail(d, text);
        classify_at_once(d, reading.tokens);
        return reading.tokens;
    }
    count_pieces(d, text);
    classify_windows(d, text);
    return d->pieces + 2;
}

/* The call (text, method, model or NULL). */
PG_FUNCTION_INFO_V1(sst2_document);
Datum
sst2_document(PG_FUNCTION_ARGS)
{
    TupleDesc   row;
    Datum       values[6];
    bool        nulls[6] = {false};
    Method      method;
    Document    d;
    SstAnswer   answer;
    uint32      best;

    if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
        PG_RETURN_NULL();
    if (get_call_result_type(fcinfo, NULL, &row) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    method = method_argument(PG_GETARG_TEXT_PP(1));
    d = document_for(PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2)));
    values[2] = Int32GetDatum((int32) classify_document(&d, PG_GETARG_DATUM(0), method));
    answer = (SstAnswer) {.model = d.model, .logits = d.logits};
    best = sst_answer_best(&answer);
    values[0] = sst_answer_label(&answer);
    values[1] = Float4GetDatum(sst_answer_probability(&answer, best));
    values[3] = Int32GetDatum((int32) d.windows);
    values[4] = Float4GetDatum(d.lowest[best]);
    values[5] = Float4GetDatum(d.highest[best]);
    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row), values, nulls)));
}
