/*
 * classifier.h - a model's queue of texts and memo of answers: from SQL texts to logits.
 */
#ifndef SST_CLASSIFIER_H
#define SST_CLASSIFIER_H

#include "models.h"
#include "text.h"

/* The queue goes through the model as soon as it holds so many tokens. */
#define SST_QUEUE_TOKENS 2048

typedef struct Classifier Classifier;

/* What this session has classified so far, by all models; SstBatch adds what its workers have. */
typedef struct ClassifierUsage
{
    int64       texts;          /* asked for */
    int64       distinct;       /* of these, through the model */
    int64       memo_hits;      /* of these, answered by the memo or along with an equal text in the queue */
    int64       truncated;      /* of these, longer than the model reads */
    int64       batches;        /* forward passes */
    int64       tokens;         /* through the model */
    double      milliseconds;   /* in the model */
} ClassifierUsage;

extern ClassifierUsage sst_classifier_usage;

/* sum += after - before */
extern void sst_classifier_add_usage(ClassifierUsage *sum, const ClassifierUsage *after, const ClassifierUsage *before);

/* Defines distilsst.isa. */
extern void sst_classifier_init(void);

/* The kernels that this session uses. */
extern const sst_kernels *sst_classifier_kernels(void);

/*
 * The classifier of the model of this name, or of the server's if name is NULL, with an empty queue. Opens the model like
 * sst_models_open(). Good until the next call or an ERROR.
 */
extern Classifier *sst_classifier_for(const char *name);

extern const sst_model *sst_classifier_model(const Classifier *c);

/*
 * Queue a text, or 1 to P token ids exactly as given. *logits [C] is valid after sst_classifier_flush(), and may be written
 * before.
 */
extern SstReading sst_classifier_add_text(Classifier *c, Datum text, float *logits);
extern void sst_classifier_add_ids(Classifier *c, const int32_t *ids, size_t count, float *logits);
extern void sst_classifier_flush(Classifier *c);

/* Empty the memo. */
extern void sst_classifier_forget(Classifier *c);

/* The logits of token ids by a forward pass of their own: neither queue nor memo takes part. */
extern void sst_classifier_forward(Classifier *c, const int32_t *ids, size_t count, float *logits);

#endif
