/*
 * distilsst.c - the SQL functions: Datum in, logits out.
 *
 * What each function promises its callers stands in sql/distilsst--1.0.sql.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "batch/batch.h"
#include "classify.h"
#include "compat.h"
#include "store.h"

PG_MODULE_MAGIC;

/* A text datum of UTF-8 from the packed file; SQL_ASCII has no encoding to convert to. */
static Datum
utf8_datum(const char *utf8)
{
    if (GetDatabaseEncoding() == PG_SQL_ASCII)
        return CStringGetTextDatum(utf8);
    return CStringGetTextDatum(pg_any_to_server(utf8, (int) strlen(utf8), PG_UTF8));
}

/* ---- one text -------------------------------------------------------------------------------- */

static SstAnswer
classify_text(Datum text)
{
    const sst_model *model = classify_begin();
    float      *logits = palloc(model->shape.labels * sizeof(float));
    SstReading  reading = classify_add_text(text, logits);

    classify_flush();
    return (SstAnswer) {.model = model, .logits = logits, .reading = reading};
}

/* The label with the highest logit; the first of equals. */
static uint32_t
best_label(const SstAnswer *answer)
{
    uint32_t    best = 0;

    for (uint32_t i = 1; i < answer->model->shape.labels; i++)
        if (answer->logits[i] > answer->logits[best])
            best = i;
    return best;
}

static Datum
label_datum(const SstAnswer *answer)
{
    return utf8_datum(sst_model_label(answer->model, best_label(answer)));
}

static float
probability(const SstAnswer *answer, uint32_t label)
{
    uint32_t    labels = answer->model->shape.labels;
    float      *probabilities = palloc(labels * sizeof(float));
    float       result;

    sst_softmax(answer->logits, labels, probabilities);
    result = probabilities[label];
    pfree(probabilities);
    return result;
}

/* The probability of label 1, which is POSITIVE in a sentiment model. */
static Datum
score_datum(const SstAnswer *answer)
{
    return Float4GetDatum(probability(answer, 1));
}

static Datum
logits_datum(const SstAnswer *answer)
{
    int         labels = (int) answer->model->shape.labels;
    Datum      *datums = palloc(labels * sizeof(Datum));

    for (int i = 0; i < labels; i++)
        datums[i] = Float4GetDatum(answer->logits[i]);
    return PointerGetDatum(construct_array(datums, labels, FLOAT4OID, sizeof(float4), true, TYPALIGN_INT));
}

static Datum
classify_datum(const SstAnswer *answer)
{
    Datum       values[4];
    bool        nulls[4] = {false};

    values[0] = label_datum(answer);
    values[1] = Float4GetDatum(probability(answer, best_label(answer)));
    values[2] = Int32GetDatum(answer->reading.tokens);
    values[3] = BoolGetDatum(answer->reading.truncated);
    return HeapTupleGetDatum(heap_form_tuple(answer->row, values, nulls));
}

PG_FUNCTION_INFO_V1(sst2_label);
Datum
sst2_label(PG_FUNCTION_ARGS)
{
    SstAnswer   answer = classify_text(PG_GETARG_DATUM(0));

    PG_RETURN_DATUM(label_datum(&answer));
}

PG_FUNCTION_INFO_V1(sst2_score);
Datum
sst2_score(PG_FUNCTION_ARGS)
{
    SstAnswer   answer = classify_text(PG_GETARG_DATUM(0));

    PG_RETURN_DATUM(score_datum(&answer));
}

PG_FUNCTION_INFO_V1(sst2_logits);
Datum
sst2_logits(PG_FUNCTION_ARGS)
{
    SstAnswer   answer = classify_text(PG_GETARG_DATUM(0));

    PG_RETURN_DATUM(logits_datum(&answer));
}

PG_FUNCTION_INFO_V1(sst2_classify);
Datum
sst2_classify(PG_FUNCTION_ARGS)
{
    SstAnswer   answer = classify_text(PG_GETARG_DATUM(0));

    if (get_call_result_type(fcinfo, NULL, &answer.row) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    BlessTupleDesc(answer.row);
    PG_RETURN_DATUM(classify_datum(&answer));
}

/* What batch/plan.c looks for, and batch/exec.c makes. */
static const BatchFunction batch_functions[] = {
    {sst2_label, label_datum},
    {sst2_score, score_datum},
    {sst2_logits, logits_datum},
    {sst2_classify, classify_datum},
    {NULL, NULL}
};

/* ---- arrays of texts ------------------------------------------------------------------------- */

/* An array of texts and its elements' logits: one batch. */
typedef struct text_array
{
    ArrayType  *array;
    int         count;
    Datum      *texts;
    bool       *nulls;
    float      *logits;         /* [count][C]; undefined where null */
    const sst_model *model;
} text_array;

static text_array
classify_array(ArrayType *array)
{
    text_array  a = {.array = array, .model = classify_begin()};
    size_t      labels = a.model->shape.labels;

    deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &a.texts, &a.nulls, &a.count);
    a.logits = palloc_extended((size_t) a.count * labels * sizeof(float) + 1, MCXT_ALLOC_HUGE);
    for (int i = 0; i < a.count; i++)
        if (!a.nulls[i])
            classify_add_text(a.texts[i], a.logits + i * labels);
    classify_flush();
    return a;
}

/* An array of the same dimensions, each element made from the logits of its text. */
static ArrayType *
map_array(const text_array *a, SstAnswerDatum make, Oid type, int length, bool by_value)
{
    size_t      labels = a->model->shape.labels;
    Datum      *values = palloc0(a->count * sizeof(Datum) + 1);

    for (int i = 0; i < a->count; i++)
    {
        const SstAnswer answer = {.model = a->model, .logits = a->logits + i * labels};

        if (!a->nulls[i])
            values[i] = make(&answer);
    }
    return construct_md_array(values, a->nulls, ARR_NDIM(a->array), ARR_DIMS(a->array), ARR_LBOUND(a->array),
                              type, length, by_value, TYPALIGN_INT);
}

PG_FUNCTION_INFO_V1(sst2_label_array);
Datum
sst2_label_array(PG_FUNCTION_ARGS)
{
    text_array  a = classify_array(PG_GETARG_ARRAYTYPE_P(0));

    PG_RETURN_ARRAYTYPE_P(map_array(&a, label_datum, TEXTOID, -1, false));
}

PG_FUNCTION_INFO_V1(sst2_score_array);
Datum
sst2_score_array(PG_FUNCTION_ARGS)
{
    text_array  a = classify_array(PG_GETARG_ARRAYTYPE_P(0));

    PG_RETURN_ARRAYTYPE_P(map_array(&a, score_datum, FLOAT4OID, sizeof(float4), true));
}

PG_FUNCTION_INFO_V1(sst2_logits_array);
Datum
sst2_logits_array(PG_FUNCTION_ARGS)
{
    text_array  a = classify_array(PG_GETARG_ARRAYTYPE_P(0));
    int         labels = (int) a.model->shape.labels;
    int         ndim = ARR_NDIM(a.array);
    int         dims[MAXDIM],
                bounds[MAXDIM];
    Datum      *values;
    bool       *nulls;

    if (a.count == 0)
        PG_RETURN_ARRAYTYPE_P(construct_empty_array(FLOAT4OID));
    if (ndim >= MAXDIM)
        ereport(ERROR,
                (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                 errmsg("number of array dimensions (%d) exceeds the maximum allowed (%d)", ndim + 1, MAXDIM)));
    memcpy(dims, ARR_DIMS(a.array), ndim * sizeof(int));
    memcpy(bounds, ARR_LBOUND(a.array), ndim * sizeof(int));
    dims[ndim] = labels;
    bounds[ndim] = 1;
    values = palloc0((size_t) a.count * labels * sizeof(Datum));
    nulls = palloc0((size_t) a.count * labels * sizeof(bool));
    for (int i = 0; i < a.count; i++)
        for (int j = 0; j < labels; j++)
        {
            size_t      at = (size_t) i * labels + j;

            nulls[at] = a.nulls[i];
            if (!a.nulls[i])
                values[at] = Float4GetDatum(a.logits[at]);
        }
    PG_RETURN_ARRAYTYPE_P(construct_md_array(values, nulls, ndim + 1, dims, bounds,
                                             FLOAT4OID, sizeof(float4), true, TYPALIGN_INT));
}

/* ---- tokens ---------------------------------------------------------------------------------- */

PG_FUNCTION_INFO_V1(sst2_logits_ids);
Datum
sst2_logits_ids(PG_FUNCTION_ARGS)
{
    const sst_model *model = classify_begin();
    ArrayType  *array = PG_GETARG_ARRAYTYPE_P(0);
    int         count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
    const int32_t *ids = (const int32_t *) ARR_DATA_PTR(array);
    float      *logits = palloc(model->shape.labels * sizeof(float));
    const SstAnswer answer = {.model = model, .logits = logits};

    if (array_contains_nulls(array))
        ereport(ERROR,
                (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                 errmsg("token ids must not be null")));
    if (ARR_NDIM(array) > 1)
        ereport(ERROR,
                (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
                 errmsg("token ids must be a one-dimensional array")));
    if (count < 1 || (uint32_t) count > model->shape.positions)
        ereport(ERROR,
                (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                 errmsg("wrong number of token ids: %d", count),
                 errdetail("This model reads 1 to %u tokens.", model->shape.positions)));
    classify_add_ids(ids, count, logits);
    classify_flush();
    PG_RETURN_DATUM(logits_datum(&answer));
}

/* The token ids of a text, palloc'd. */
static int32_t *
token_ids(Datum value, const sst_model *model, int *count)
{
    int32_t    *ids = palloc(model->shape.positions * sizeof(int32_t));

    *count = classify_tokenize(model, value, ids).tokens;
    return ids;
}

PG_FUNCTION_INFO_V1(sst2_token_ids);
Datum
sst2_token_ids(PG_FUNCTION_ARGS)
{
    const sst_model *model = store_model();
    int         count;
    const int32_t *ids = token_ids(PG_GETARG_DATUM(0), model, &count);
    Datum      *values = palloc(count * sizeof(Datum));

    for (int i = 0; i < count; i++)
        values[i] = Int32GetDatum(ids[i]);
    PG_RETURN_ARRAYTYPE_P(construct_array(values, count, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

PG_FUNCTION_INFO_V1(sst2_tokens);
Datum
sst2_tokens(PG_FUNCTION_ARGS)
{
    const sst_model *model = store_model();
    int         count;
    const int32_t *ids = token_ids(PG_GETARG_DATUM(0), model, &count);
    Datum      *values = palloc(count * sizeof(Datum));

    for (int i = 0; i < count; i++)
    {
        size_t      len;
        const char *piece = sst_piece(&model->vocab, ids[i], &len);

        values[i] = utf8_datum(pnstrdup(piece, len));
    }
    PG_RETURN_ARRAYTYPE_P(construct_array(values, count, TEXTOID, -1, false, TYPALIGN_INT));
}

PG_FUNCTION_INFO_V1(sst2_token_count);
Datum
sst2_token_count(PG_FUNCTION_ARGS)
{
    const sst_model *model = store_model();
    size_t      len;
    const char *text = classify_utf8(PG_GETARG_DATUM(0), &len);

    /* at most one token a byte, and a text has less than 2^30 bytes */
    PG_RETURN_INT32((int32) sst_token_count(&model->vocab, text, len, &store_tick));
}

/* ---- the model ------------------------------------------------------------------------------- */

PG_FUNCTION_INFO_V1(sst2_model);
Datum
sst2_model(PG_FUNCTION_ARGS)
{
    const sst_model *model = store_model();
    const sst_shape *shape = &model->shape;
    const char *file = store_file();
    TupleDesc   row;
    Datum       values[11];
    bool        nulls[11] = {false};
    int         i = 0;

    if (get_call_result_type(fcinfo, NULL, &row) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    values[i++] = utf8_datum(model->name);
    values[i++] = CStringGetTextDatum(model->fingerprint);
    values[i++] = CStringGetTextDatum(sst_precision_name(shape->precision));
    values[i++] = Int32GetDatum(shape->layers);
    values[i++] = Int32GetDatum(shape->hidden);
    values[i++] = Int32GetDatum(shape->heads);
    values[i++] = Int32GetDatum(shape->vocab);
    values[i++] = Int32GetDatum(shape->positions);
    nulls[i] = !file;
    values[i++] = CStringGetTextDatum(file ? file : "");
    values[i++] = Int64GetDatum((int64) model->file_size);
    values[i++] = CStringGetTextDatum(sst_kernels_name(classify_kernels()));
    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row), values, nulls)));
}

/* ---- loading --------------------------------------------------------------------------------- */

void        _PG_init(void);

void
_PG_init(void)
{
    store_init();
    classify_init();
    batch_init(batch_functions);
    MarkGUCPrefixReserved("distilsst");
}
