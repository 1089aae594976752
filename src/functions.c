/*
 * functions.c - the SQL functions: Datum in, answer out.
 *
 * sql/distilsst--1.0.sql says what each function promises its callers. A function that takes a model takes it as its last
 * argument; without that, the server's model answers.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "answer.h"
#include "classifier.h"

/* The argument n, which names a model; NULL if the function is declared without it. */
static const char *
model_argument(FunctionCallInfo fcinfo, int n)
{
    return PG_NARGS() > n ? text_to_cstring(PG_GETARG_TEXT_PP(n)) : NULL;
}

/* ---- one text -------------------------------------------------------------------------------- */

/* Argument 0 is the text, argument n, if there is one, the model. */
static SstAnswer
classify_text(FunctionCallInfo fcinfo, int n)
{
    Classifier *c = sst_classifier_for(model_argument(fcinfo, n));
    SstAnswer   answer = {.model = sst_classifier_model(c)};
    float      *logits = palloc(answer.model->shape.labels * sizeof(float));

    answer.logits = logits;
    answer.reading = sst_classifier_add_text(c, PG_GETARG_DATUM(0), logits);
    sst_classifier_flush(c);
    return answer;
}

PG_FUNCTION_INFO_V1(sst2_label);
Datum
sst2_label(PG_FUNCTION_ARGS)
{
    const SstAnswer answer = classify_text(fcinfo, 1);

    PG_RETURN_DATUM(sst_answer_label(&answer));
}

/* The call (text, confidence [, model]). */
PG_FUNCTION_INFO_V1(sst2_label_confident);
Datum
sst2_label_confident(PG_FUNCTION_ARGS)
{
    const float4 confidence = PG_GETARG_FLOAT4(1);
    SstAnswer   answer;

    if (!sst_answer_is_confidence(confidence))
        ereport(ERROR,
                (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                 errmsg("confidence must be between 0 and 1")));
    answer = classify_text(fcinfo, 2);
    answer.confidence = confidence;
    PG_RETURN_DATUM(sst_answer_confident_label(&answer));
}

PG_FUNCTION_INFO_V1(sst2_score);
Datum
sst2_score(PG_FUNCTION_ARGS)
{
    const SstAnswer answer = classify_text(fcinfo, 1);

    PG_RETURN_DATUM(sst_answer_score(&answer));
}

PG_FUNCTION_INFO_V1(sst2_logits);
Datum
sst2_logits(PG_FUNCTION_ARGS)
{
    const SstAnswer answer = classify_text(fcinfo, 1);

    PG_RETURN_DATUM(sst_answer_logits(&answer));
}

PG_FUNCTION_INFO_V1(sst2_classify);
Datum
sst2_classify(PG_FUNCTION_ARGS)
{
    SstAnswer   answer = classify_text(fcinfo, 1);

    if (get_call_result_type(fcinfo, NULL, &answer.row_type) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    BlessTupleDesc(answer.row_type);
    PG_RETURN_DATUM(sst_answer_row(&answer));
}

/* ---- arrays of texts ------------------------------------------------------------------------- */

/* An array of texts, and the logits of its elements. */
typedef struct text_array
{
    ArrayType  *array;
    int         count;
    Datum      *texts;
    bool       *nulls;
    float      *logits;         /* [count][C]; undefined where null */
    const sst_model *model;
} text_array;

/* The call (text[] [, model]). */
static text_array
classify_array(FunctionCallInfo fcinfo)
{
    Classifier *c = sst_classifier_for(model_argument(fcinfo, 1));
    text_array  a = {.array = PG_GETARG_ARRAYTYPE_P(0), .model = sst_classifier_model(c)};
    size_t      labels = a.model->shape.labels;

    deconstruct_array(a.array, TEXTOID, -1, false, TYPALIGN_INT, &a.texts, &a.nulls, &a.count);
    a.logits = palloc_extended((size_t) a.count * labels * sizeof(float) + 1, MCXT_ALLOC_HUGE);
    for (int i = 0; i < a.count; i++)
        if (!a.nulls[i])
            sst_classifier_add_text(c, a.texts[i], a.logits + i * labels);
    sst_classifier_flush(c);
    return a;
}

/* An array of the same dimensions, with what make returns for each text. */
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
    text_array  a = classify_array(fcinfo);

    PG_RETURN_ARRAYTYPE_P(map_array(&a, sst_answer_label, TEXTOID, -1, false));
}

PG_FUNCTION_INFO_V1(sst2_score_array);
Datum
sst2_score_array(PG_FUNCTION_ARGS)
{
    text_array  a = classify_array(fcinfo);

    PG_RETURN_ARRAYTYPE_P(map_array(&a, sst_answer_score, FLOAT4OID, sizeof(float4), true));
}

PG_FUNCTION_INFO_V1(sst2_logits_array);
Datum
sst2_logits_array(PG_FUNCTION_ARGS)
{
    text_array  a = classify_array(fcinfo);
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
    Classifier *c = sst_classifier_for(NULL);
    const sst_model *model = sst_classifier_model(c);
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
    sst_classifier_add_ids(c, ids, count, logits);
    sst_classifier_flush(c);
    PG_RETURN_DATUM(sst_answer_logits(&answer));
}

/* The token ids of a text, palloc'd. */
static int32_t *
token_ids(OpenModel *m, Datum text, int *count)
{
    int32_t    *ids = palloc(m->model.shape.positions * sizeof(int32_t));

    *count = sst_text_tokenize(&m->model, text, ids).tokens;
    sst_mapping_check(&m->map);
    return ids;
}

PG_FUNCTION_INFO_V1(sst2_token_ids);
Datum
sst2_token_ids(PG_FUNCTION_ARGS)
{
    int         count;
    const int32_t *ids = token_ids(sst_models_open(NULL), PG_GETARG_DATUM(0), &count);
    Datum      *values = palloc(count * sizeof(Datum));

    for (int i = 0; i < count; i++)
        values[i] = Int32GetDatum(ids[i]);
    PG_RETURN_ARRAYTYPE_P(construct_array(values, count, INT4OID, sizeof(int32), true, TYPALIGN_INT));
}

PG_FUNCTION_INFO_V1(sst2_tokens);
Datum
sst2_tokens(PG_FUNCTION_ARGS)
{
    OpenModel  *m = sst_models_open(NULL);
    int         count;
    const int32_t *ids = token_ids(m, PG_GETARG_DATUM(0), &count);
    Datum      *values = palloc(count * sizeof(Datum));

    for (int i = 0; i < count; i++)
    {
        size_t      len;
        const char *piece = sst_piece(&m->model.vocab, ids[i], &len);

        values[i] = sst_text_from_utf8(pnstrdup(piece, len));
    }
    sst_mapping_check(&m->map);
    PG_RETURN_ARRAYTYPE_P(construct_array(values, count, TEXTOID, -1, false, TYPALIGN_INT));
}

PG_FUNCTION_INFO_V1(sst2_token_count);
Datum
sst2_token_count(PG_FUNCTION_ARGS)
{
    OpenModel  *m = sst_models_open(NULL);
    size_t      len;
    const char *text = sst_text_to_utf8(PG_GETARG_DATUM(0), &len);
    const uint64 count = sst_token_count(&m->model.vocab, text, len, &sst_interrupts);

    sst_mapping_check(&m->map);
    /* an int suffices: there is at most one token per byte, and a text has less than 2^30 bytes */
    PG_RETURN_INT32((int32) count);
}

/* ---- the model ------------------------------------------------------------------------------- */

PG_FUNCTION_INFO_V1(sst2_model);
Datum
sst2_model(PG_FUNCTION_ARGS)
{
    const OpenModel *open = sst_models_open(NULL);
    const sst_model *model = &open->model;
    const sst_shape *shape = &model->shape;
    const char *file = sst_models_file(open);
    TupleDesc   row;
    Datum       values[11];
    bool        nulls[11] = {false};
    int         i = 0;

    if (get_call_result_type(fcinfo, NULL, &row) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    values[i++] = sst_text_from_utf8(model->name);
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
    values[i++] = CStringGetTextDatum(sst_kernels_name(sst_classifier_kernels()));
    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row), values, nulls)));
}

/* The call ([model]). */
PG_FUNCTION_INFO_V1(sst2_fingerprint);
Datum
sst2_fingerprint(PG_FUNCTION_ARGS)
{
    PG_RETURN_TEXT_P(cstring_to_text(sst_models_open(model_argument(fcinfo, 0))->model.fingerprint));
}
