/*
 * classify.h - from SQL texts to logits, through the memo and in batches.
 */
#ifndef CLASSIFY_H
#define CLASSIFY_H

#include "access/tupdesc.h"

#include "core/sst.h"

/* A batch is complete when it has so many. */
#define BATCH_TOKENS 2048

/* How a text was read. */
typedef struct SstReading
{
    int         tokens;         /* [CLS] and [SEP] included */
    bool        truncated;      /* there was more than the model reads */
} SstReading;

/* A classified text, of which the results of SQL functions are made. */
typedef struct SstAnswer
{
    const sst_model *model;
    const float *logits;        /* [C] */
    SstReading  reading;
    TupleDesc   row;            /* of sst2_classify, blessed */
} SstAnswer;

typedef Datum (*SstAnswerDatum) (const SstAnswer *answer);

/* What this session has classified in batches so far. */
typedef struct ClassifyUsage
{
    int64       texts;          /* asked for */
    int64       distinct;       /* of them, through the model: neither in the memo nor in the batch already */
    int64       truncated;      /* of texts */
    int64       batches;
    int64       tokens;         /* through the model */
    double      milliseconds;   /* in the model */
} ClassifyUsage;

extern ClassifyUsage classify_usage;

/* sum += after - before, as of buffer usage */
extern void classify_usage_add(ClassifyUsage *sum, const ClassifyUsage *after, const ClassifyUsage *before);

/* Defines distilsst.isa; to be called once, by _PG_init. */
extern void classify_init(void);

/* The kernels that this session uses. */
extern const sst_kernels *classify_kernels(void);

/*
 * Add a text, or token ids as given (1 to the model's positions of them), to the batch; its logits [C] are in *logits
 * after classify_flush() or before. Begin with classify_begin(), which forgets what an error left behind.
 */
extern const sst_model *classify_begin(void);
extern SstReading classify_add_text(Datum text, float *logits);
extern void classify_add_ids(const int32_t *ids, size_t count, float *logits);
extern void classify_flush(void);

/* The logits of token ids by a forward pass of their own, whatever the memo holds. Begin with classify_begin(). */
extern void classify_forward(const int32_t *ids, size_t count, float *logits);

/* The token ids of a text as the model reads it: ids has room for the model's positions. */
extern SstReading classify_tokenize(const sst_model *model, Datum text, int32_t *ids);

/* The bytes of a whole text in UTF-8, or as they are in SQL_ASCII; palloc'd or part of the text. */
extern const char *classify_utf8(Datum text, size_t *len);

#endif
