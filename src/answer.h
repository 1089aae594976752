/*
 * answer.h - what SQL functions make of a text's logits.
 */
#ifndef SST_ANSWER_H
#define SST_ANSWER_H

#include "access/tupdesc.h"

#include "text.h"

/* A classified text. */
typedef struct SstAnswer
{
    const sst_model *model;
    const float *logits;        /* [C] */
    SstReading  reading;
    float4      confidence;     /* for sst_answer_confident_label only */
    TupleDesc   row_type;       /* of sst2_classify, blessed; for sst_answer_row only */
} SstAnswer;

/* The label with the highest logit; the first of equals. */
extern uint32_t sst_answer_best(const SstAnswer *answer);

extern float sst_answer_probability(const SstAnswer *answer, uint32_t label);

/* Is this a confidence: 0 to 1, not NaN? */
extern bool sst_answer_is_confidence(float4 confidence);

typedef Datum (*SstAnswerDatum) (const SstAnswer *answer);

extern Datum sst_answer_label(const SstAnswer *answer);     /* text */
extern Datum sst_answer_confident_label(const SstAnswer *answer);   /* text: NEUTRAL if less probable than the confidence */
extern Datum sst_answer_score(const SstAnswer *answer);     /* real: the probability of label 1 */
extern Datum sst_answer_logits(const SstAnswer *answer);    /* real[] */
extern Datum sst_answer_row(const SstAnswer *answer);       /* (label, score, tokens, truncated) */

#endif
