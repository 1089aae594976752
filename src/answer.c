/*
 * answer.c - what SQL functions make of a text's logits.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"

#include "answer.h"

#define NEUTRAL "NEUTRAL"

uint32_t
sst_answer_best(const SstAnswer *answer)
{
    uint32_t    best = 0;

    for (uint32_t i = 1; i < answer->model->shape.labels; i++)
        if (answer->logits[i] > answer->logits[best])
            best = i;
    return best;
}

Datum
sst_answer_label(const SstAnswer *answer)
{
    return sst_text_from_utf8(sst_model_label(answer->model, sst_answer_best(answer)));
}

float
sst_answer_probability(const SstAnswer *answer, uint32_t label)
{
    uint32_t    labels = answer->model->shape.labels;
    float      *probabilities = palloc(labels * sizeof(float));
    float       result;

    sst_softmax(answer->logits, labels, probabilities);
    result = probabilities[label];
    pfree(probabilities);
    return result;
}

bool
sst_answer_is_confidence(float4 confidence)
{
    return confidence >= 0 && confidence <= 1;
}

Datum
sst_answer_confident_label(const SstAnswer *answer)
{
    if (sst_answer_probability(answer, sst_answer_best(answer)) >= answer->confidence)
        return sst_answer_label(answer);
    return sst_text_from_utf8(NEUTRAL);
}

/* The probability of label 1, which is POSITIVE in a sentiment model. */
Datum
sst_answer_score(const SstAnswer *answer)
{
    return Float4GetDatum(sst_answer_probability(answer, 1));
}

Datum
sst_answer_logits(const SstAnswer *answer)
{
    int         labels = (int) answer->model->shape.labels;
    Datum      *datums = palloc(labels * sizeof(Datum));

    for (int i = 0; i < labels; i++)
        datums[i] = Float4GetDatum(answer->logits[i]);
    return PointerGetDatum(construct_array(datums, labels, FLOAT4OID, sizeof(float4), true, TYPALIGN_INT));
}

Datum
sst_answer_row(const SstAnswer *answer)
{
    Datum       values[4];
    bool        nulls[4] = {false};

    values[0] = sst_answer_label(answer);
    values[1] = Float4GetDatum(sst_answer_probability(answer, sst_answer_best(answer)));
    values[2] = Int32GetDatum(answer->reading.tokens);
    values[3] = BoolGetDatum(answer->reading.truncated);
    return HeapTupleGetDatum(heap_form_tuple(answer->row_type, values, nulls));
}
