/*
 * classifier.h - a model's queue of texts and memo of answers: from SQL texts to logits.
 */
#ifndef SST_CLASSIFIER_H
#define SST_CLASSIFIER_H

#include "models.h"
#include "text.h"

/* A full queue goes through the model by itself: at so many tokens. */
#define SST_QUEUE_TOKENS 2048

typedef struct Classifier Classifier;

/* What this session has classified so far, by all its models; SstBatch adds what its workers have. */
typedef struct ClassifierUsage
{
    int64       texts;          /* asked for */
    int64       distinct;       /* of them, through the model: neither in the memo nor in the queue already */
    int64       memo_hits;      /* of texts, answered by the memo or with an equal one in the queue */
    int64       truncated;      /* of texts */
    int64       batches;        /* forward passes */
    int64       tokens;         /* through the model */
    double      milliseconds;   /* in the model */
} ClassifierUsage;

extern ClassifierUsage sst_classifier_usage;

/* sum += after - before, as of buffer usage */
extern void sst_classifier_add_usage(ClassifierUsage *sum, const ClassifierUsage *after, const ClassifierUsage *before);

/* Defines distilsst.isa. */
extern void sst_classifier_init(void);

/* The kernels that this session uses. */
extern const sst_kernels *sst_classifier_kernels(void);

/*
 * The classifier of a model, by name or NULL for the server's, as sst_models_open() opens it; with an empty queue. Good
 * until the next call or an ERROR.
 */
extern Classifier *sst_classifier_for(const char *name);

extern const sst_model *sst_classifier_model(const Classifier *c);

/*
 * Queue a text, or token ids as given, 1 to the model's positions of them. Their logits [C] are in *logits after
 * sst_classifier_flush() or before.
 */
extern SstReading sst_classifier_add_text(Classifier *c, Datum text, float *logits);
extern void sst_classifier_add_ids(Classifier *c, const int32_t *ids, size_t count, float *logits);
extern void sst_classifier_flush(Classifier *c);

/* The logits of token ids by a forward pass of their own, whatever the memo holds. */
extern void sst_classifier_forward(Classifier *c, const int32_t *ids, size_t count, float *logits);

#endif
