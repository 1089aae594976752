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
    TupleDesc   row;            /* of sst2_classify, blessed; for sst_answer_row only */
} SstAnswer;

typedef Datum (*SstAnswerDatum) (const SstAnswer *answer);

extern Datum sst_answer_label(const SstAnswer *answer);     /* text */
extern Datum sst_answer_score(const SstAnswer *answer);     /* real: the probability of label 1 */
extern Datum sst_answer_logits(const SstAnswer *answer);    /* real[] */
extern Datum sst_answer_row(const SstAnswer *answer);       /* (label, score, tokens, truncated) */

#endif
