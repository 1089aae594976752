/*
 * classifier.c - a model's queue of texts and memo of answers: from SQL texts to logits.
 *
 * The memo keeps the logits of the last classified texts by their token ids, and compares all of these. So sst2_label(x) and
 * sst2_score(x) cost one forward pass, in the same row or in the next.
 *
 * A classifier belongs to one session, lives in its model's memory context and never grows.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "classifier.h"

#define QUEUE_TEXTS 512         /* so many fill the queue, too */
#define MEMO_TEXTS 64

typedef struct MemoEntry
{
    uint32      hash;           /* of the ids */
    uint32      count;          /* of the ids; 0: empty */
} MemoEntry;

/* Where the logits of a queued text must go. */
typedef struct Request
{
    size_t      text;
    float      *logits;
} Request;

struct Classifier
{
    OpenModel  *open;
    const sst_model *model;     /* open's */
    void       *workspace;
    int32_t    *ids;            /* [SST_QUEUE_TOKENS + positions] of the queued texts */
    size_t     *start;          /* [QUEUE_TEXTS + 1] */
    uint32     *hash;           /* [QUEUE_TEXTS] of the ids of each text */
    float      *logits;         /* [QUEUE_TEXTS][C] */
    size_t      texts;          /* in the queue, all different */
    Request    *request;        /* [QUEUE_TEXTS] */
    size_t      requests;       /* at least one per text */

    MemoEntry   memo[MEMO_TEXTS];
    int32_t    *memo_ids;       /* [MEMO_TEXTS][positions] */
    float      *memo_logits;    /* [MEMO_TEXTS][C] */
    int         memo_next;      /* the oldest entry */
};

ClassifierUsage sst_classifier_usage;

static int  isa_setting = SST_ISA_BEST;

static const struct config_enum_entry isa_options[] = {
    {"auto", SST_ISA_BEST, false},
    {"c", SST_ISA_C, false},
    {"avx2", SST_ISA_AVX2, false},
    {"avxvnni", SST_ISA_AVXVNNI, false},
    {"avx512", SST_ISA_AVX512, false},
    {"avx512vnni", SST_ISA_AVX512VNNI, false},
    {"amxint8", SST_ISA_AMXINT8, false},
    {"neon", SST_ISA_NEON, false},
    {"neondot", SST_ISA_NEONDOT, false},
    {"neoni8mm", SST_ISA_NEONI8MM, false},
    {NULL, 0, false}
};

void
sst_classifier_init(void)
{
    DefineCustomEnumVariable("distilsst.isa",
                             "Most recent CPU family whose instructions may be used.",
                             "Results do not depend on it. What the CPU does not have is never used; "
                              "a family of another architecture means plain C.",
                             &isa_setting,
                             SST_ISA_BEST,
                             isa_options,
                             PGC_USERSET,
                             0,
                             NULL, NULL, NULL);
}

const sst_kernels *
sst_classifier_kernels(void)
{
    return sst_kernels_get((sst_isa) isa_setting);
}

/* The model owns it only when it is complete: an ERROR before that leaves nothing behind. */
static Classifier *
make_classifier(OpenModel *m)
{
    const size_t positions = m->model.shape.positions;
    const size_t labels = m->model.shape.labels;
    MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "distilsst classifier", ALLOCSET_DEFAULT_SIZES);
    MemoryContext old = MemoryContextSwitchTo(context);
    Classifier *c = palloc0(sizeof(Classifier));

    c->open = m;
    c->model = &m->model;
    c->workspace = palloc_extended(sst_workspace_size(c->model) + 63, MCXT_ALLOC_HUGE);
    c->workspace = (void *) TYPEALIGN(64, c->workspace);
    c->ids = palloc((SST_QUEUE_TOKENS + positions) * sizeof(int32_t));
    c->start = palloc((QUEUE_TEXTS + 1) * sizeof(size_t));
    c->hash = palloc(QUEUE_TEXTS * sizeof(uint32));
    c->request = palloc(QUEUE_TEXTS * sizeof(Request));
    c->logits = palloc(QUEUE_TEXTS * labels * sizeof(float));
    c->memo_ids = palloc(MEMO_TEXTS * positions * sizeof(int32_t));
    c->memo_logits = palloc(MEMO_TEXTS * labels * sizeof(float));
    MemoryContextSwitchTo(old);
    MemoryContextSetParent(context, m->context);
    return m->classifier = c;
}

/* Forgets what an ERROR left in the queue. */
Classifier *
sst_classifier_for(const char *name)
{
    OpenModel  *m = sst_models_open(name);
    Classifier *c = m->classifier ? m->classifier : make_classifier(m);

    c->texts = 0;
    c->requests = 0;
    c->start[0] = 0;
    return c;
}

const sst_model *
sst_classifier_model(const Classifier *c)
{
    return c->model;
}

/* ---- memo ------------------------------------------------------------------------------------ */

static int32_t *
memo_ids(const Classifier *c, int entry)
{
    return c->memo_ids + (size_t) entry * c->model->shape.positions;
}

static float *
memo_logits(const Classifier *c, int entry)
{
    return c->memo_logits + (size_t) entry * c->model->shape.labels;
}

static uint32
hash_ids(const int32_t *ids, size_t count)
{
    return hash_bytes((const unsigned char *) ids, (int) (count * sizeof(int32_t)));
}

/* The logits of these token ids, or NULL. */
static const float *
memo_find(const Classifier *c, uint32 hash, const int32_t *ids, size_t count)
{
    for (int i = 0; i < MEMO_TEXTS; i++)
        if (c->memo[i].hash == hash && c->memo[i].count == count &&
            memcmp(memo_ids(c, i), ids, count * sizeof(int32_t)) == 0)
            return memo_logits(c, i);
    return NULL;
}

static void
memo_put(Classifier *c, uint32 hash, const int32_t *ids, size_t count, const float *logits)
{
    int         entry = c->memo_next;

    c->memo_next = (entry + 1) % MEMO_TEXTS;
    c->memo[entry].hash = hash;
    c->memo[entry].count = (uint32) count;
    memcpy(memo_ids(c, entry), ids, count * sizeof(int32_t));
    memcpy(memo_logits(c, entry), logits, c->model->shape.labels * sizeof(float));
}

void
sst_classifier_forget(Classifier *c)
{
    memset(c->memo, 0, sizeof(c->memo));
}

/* ---- the batch ------------------------------------------------------------------------------- */

static const int32_t *
queued_ids(const Classifier *c, size_t text, size_t *count)
{
    *count = c->start[text + 1] - c->start[text];
    return c->ids + c->start[text];
}

/* The queued text that has these token ids, or c->texts. */
static size_t
queue_find(const Classifier *c, uint32 hash, const int32_t *ids, size_t count)
{
    size_t      text;

    for (text = 0; text < c->texts; text++)
    {
        size_t      its_count;
        const int32_t *its_ids = queued_ids(c, text, &its_count);

        if (c->hash[text] == hash && its_count == count && memcmp(its_ids, ids, count * sizeof(int32_t)) == 0)
            break;
    }
    return text;
}

/* Answer the count ids behind the queued ones from the memo, or queue them, unless they are queued already. */
static void
add_ids(Classifier *c, size_t count, float *logits)
{
    const int32_t *ids = c->ids + c->start[c->texts];
    uint32      hash = hash_ids(ids, count);
    const float *known = memo_find(c, hash, ids, count);
    size_t      text;

    sst_classifier_usage.texts++;
    if (known)
    {
        sst_classifier_usage.memo_hits++;
        memcpy(logits, known, c->model->shape.labels * sizeof(float));
        return;
    }
    text = queue_find(c, hash, ids, count);
    if (text == c->texts)
    {
        c->hash[text] = hash;
        c->start[text + 1] = c->start[text] + count;
        c->texts++;
    }
    else
        sst_classifier_usage.memo_hits++;
    c->request[c->requests++] = (Request) {text, logits};
    if (c->requests == QUEUE_TEXTS || c->start[c->texts] >= SST_QUEUE_TOKENS)
        sst_classifier_flush(c);
}

SstReading
sst_classifier_add_text(Classifier *c, Datum text, float *logits)
{
    SstReading  reading = sst_text_tokenize(c->model, text, c->ids + c->start[c->texts]);

    sst_classifier_usage.truncated += reading.truncated;
    add_ids(c, reading.tokens, logits);
    return reading;
}

void
sst_classifier_add_ids(Classifier *c, const int32_t *ids, size_t count, float *logits)
{
    memcpy(c->ids + c->start[c->texts], ids, count * sizeof(int32_t));
    add_ids(c, count, logits);
}

static void
forward(Classifier *c, const int32_t *ids, const size_t *start, size_t texts, float *logits)
{
    const sst_status status = sst_forward(c->model, sst_classifier_kernels(), ids, start, texts, logits, c->workspace,
                                          &sst_interrupts);

    sst_mapping_check(&c->open->map);
    sst_models_check(c->open, status);
}

void
sst_classifier_forward(Classifier *c, const int32_t *ids, size_t count, float *logits)
{
    const size_t start[2] = {0, count};

    forward(c, ids, start, 1, logits);
}

/* The forward pass of the queue, counted and timed. */
static void
forward_queue(Classifier *c, size_t texts)
{
    instr_time  began,
                took;

    INSTR_TIME_SET_CURRENT(began);
    forward(c, c->ids, c->start, texts, c->logits);
    INSTR_TIME_SET_CURRENT(took);
    INSTR_TIME_SUBTRACT(took, began);
    sst_classifier_usage.batches++;
    sst_classifier_usage.distinct += texts;
    sst_classifier_usage.tokens += c->start[texts];
    sst_classifier_usage.milliseconds += INSTR_TIME_GET_MILLISEC(took);
}

void
sst_classifier_flush(Classifier *c)
{
    const size_t labels = c->model->shape.labels;
    const size_t texts = c->texts;

    if (texts == 0)
    {
        /* the memo answered, but the ids came from the mapped vocabulary */
        sst_mapping_check(&c->open->map);
        return;
    }
    c->texts = 0;
    forward_queue(c, texts);
    for (size_t i = 0; i < c->requests; i++)
        memcpy(c->request[i].logits, c->logits + c->request[i].text * labels, labels * sizeof(float));
    c->requests = 0;
    for (size_t i = 0; i < texts; i++)
    {
        size_t      count;
        const int32_t *ids = queued_ids(c, i, &count);

        memo_put(c, c->hash[i], ids, count, c->logits + i * labels);
    }
}

void
sst_classifier_add_usage(ClassifierUsage *sum, const ClassifierUsage *after, const ClassifierUsage *before)
{
    sum->texts += after->texts - before->texts;
    sum->distinct += after->distinct - before->distinct;
    sum->memo_hits += after->memo_hits - before->memo_hits;
    sum->truncated += after->truncated - before->truncated;
    sum->batches += after->batches - before->batches;
    sum->tokens += after->tokens - before->tokens;
    sum->milliseconds += after->milliseconds - before->milliseconds;
}
