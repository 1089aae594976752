/*
 * classify.c - from SQL texts to logits, through the memo and in batches.
 *
 * The memo holds the logits of the last texts that this session classified, by their token ids, all of which are
 * compared. So sst2_label(x) and sst2_score(x) cost one forward pass, in one row or in the next.
 *
 * Everything here is private to the session, lives in one memory context and has a fixed size for a given model.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "classify.h"
#include "store.h"

#define BATCH_TEXTS 512         /* complete the batch, too */
#define MEMO_TEXTS 64
#define FIRST_SLICE 8192        /* bytes of a text that are looked at first: enough for 512 tokens of prose */

typedef struct memo_entry
{
    uint32      hash;           /* of the ids */
    uint32      count;          /* of the ids; 0: empty */
} memo_entry;

/* Who waits for the logits of a text of the batch. */
typedef struct batch_request
{
    size_t      text;
    float      *logits;
} batch_request;

static struct
{
    MemoryContext context;
    uint64      generation;     /* of the model that all this was made for */
    const sst_model *model;
    void       *workspace;
    int32_t    *ids;            /* [BATCH_TOKENS + positions] */
    size_t     *start;          /* [BATCH_TEXTS + 1] */
    uint32     *hash;           /* [BATCH_TEXTS] of the ids of each text */
    float      *logits;         /* [BATCH_TEXTS][C] */
    size_t      texts;          /* in the batch, all different */
    batch_request *request;     /* [BATCH_TEXTS] */
    size_t      requests;       /* waiting for the batch's logits, at least one a text */

    memo_entry  memo[MEMO_TEXTS];
    int32_t    *memo_ids;       /* [MEMO_TEXTS][positions] */
    float      *memo_logits;    /* [MEMO_TEXTS][C] */
    int         memo_next;      /* the oldest entry */
} state;

ClassifyUsage classify_usage;

static int  isa_setting = SST_ISA_BEST;

static const struct config_enum_entry isa_options[] = {
    {"auto", SST_ISA_BEST, false},
    {"c", SST_ISA_C, false},
    {"avx2", SST_ISA_AVX2, false},
    {"avx512", SST_ISA_AVX512, false},
    {"avx512vnni", SST_ISA_AVX512VNNI, false},
    {"neon", SST_ISA_NEON, false},
    {"neondot", SST_ISA_NEONDOT, false},
    {NULL, 0, false}
};

void
classify_init(void)
{
    DefineCustomEnumVariable("distilsst.isa",
                             "Most recent CPU family whose instructions may be used.",
                             "Results do not depend on it. What the CPU does not have is never used; a family of another architecture means plain C.",
                             &isa_setting,
                             SST_ISA_BEST,
                             isa_options,
                             PGC_USERSET,
                             0,
                             NULL, NULL, NULL);
}

const sst_kernels *
classify_kernels(void)
{
    return sst_kernels_get((sst_isa) isa_setting);
}

/* Allocate everything anew for the model at hand. */
static void
make_state(const sst_model *model)
{
    size_t      positions = model->shape.positions;
    size_t      labels = model->shape.labels;
    MemoryContext old;

    if (state.context)
        MemoryContextDelete(state.context);
    memset(&state, 0, sizeof(state));
    state.context = AllocSetContextCreate(TopMemoryContext, "distilsst", ALLOCSET_DEFAULT_SIZES);
    old = MemoryContextSwitchTo(state.context);
    state.workspace = palloc_extended(sst_workspace_size(model) + 63, MCXT_ALLOC_HUGE);
    state.workspace = (void *) TYPEALIGN(64, state.workspace);
    state.ids = palloc((BATCH_TOKENS + positions) * sizeof(int32_t));
    state.start = palloc((BATCH_TEXTS + 1) * sizeof(size_t));
    state.hash = palloc(BATCH_TEXTS * sizeof(uint32));
    state.request = palloc(BATCH_TEXTS * sizeof(batch_request));
    state.logits = palloc(BATCH_TEXTS * labels * sizeof(float));
    state.memo_ids = palloc(MEMO_TEXTS * positions * sizeof(int32_t));
    state.memo_logits = palloc(MEMO_TEXTS * labels * sizeof(float));
    MemoryContextSwitchTo(old);
    state.model = model;
    state.generation = store_generation();
}

const sst_model *
classify_begin(void)
{
    const sst_model *model = store_model();

    if (state.generation != store_generation())
        make_state(model);
    state.texts = 0;
    state.requests = 0;
    state.start[0] = 0;
    return model;
}

/* ---- reading texts --------------------------------------------------------------------------- */

/* Text in the server's encoding to UTF-8. SQL_ASCII has no encoding: its bytes are taken for UTF-8 as they are. */
static const char *
to_utf8(const char *text, size_t *len)
{
    const char *converted;

    if (GetDatabaseEncoding() == PG_SQL_ASCII)
        return text;
    converted = pg_server_to_any(text, (int) *len, PG_UTF8);
    if (converted != text)
        *len = strlen(converted);
    return converted;
}

const char *
classify_utf8(Datum text, size_t *len)
{
    struct varlena *value = PG_DETOAST_DATUM_PACKED(text);

    *len = VARSIZE_ANY_EXHDR(value);
    return to_utf8(VARDATA_ANY(value), len);
}

/*
 * Tokenize the first size bytes of a text that has total bytes. Returns 0 where more of it must be seen. Only the slice
 * is read from TOAST and converted.
 */
static size_t
tokenize_slice(const sst_model *model, Datum text, size_t size, size_t total, int32_t *ids, bool *truncated)
{
    struct varlena *value = (struct varlena *) DatumGetPointer(text);
    struct varlena *slice = value;
    bool        partial = size < total;
    const char *bytes,
               *utf8;
    size_t      len;
    size_t      count;

    if (VARATT_IS_EXTERNAL(value) || VARATT_IS_COMPRESSED(value))
        slice = partial ? detoast_attr_slice(value, 0, (int32) size) : detoast_attr(value);
    bytes = VARDATA_ANY(slice);
    len = partial ? (size_t) pg_mbcliplen(bytes, (int) size, (int) size) : size;
    utf8 = to_utf8(bytes, &len);
    count = sst_tokenize(&model->vocab, utf8, len, partial, ids, model->shape.positions, truncated, &store_tick);
    if (utf8 != bytes)
        pfree((void *) utf8);
    if (slice != value)
        pfree(slice);
    return count;
}

SstReading
classify_tokenize(const sst_model *model, Datum text, int32_t *ids)
{
    size_t      total = toast_raw_datum_size(text) - VARHDRSZ;
    SstReading  reading;

    size_t      size = Min(total, FIRST_SLICE);

    for (;;)
    {
        reading.tokens = (int) tokenize_slice(model, text, size, total, ids, &reading.truncated);
        if (reading.tokens > 0)
            return reading;
        size = size < total / 16 ? size * 16 : total;
    }
}

/* ---- memo ------------------------------------------------------------------------------------ */

static int32_t *
memo_ids(int entry)
{
    return state.memo_ids + (size_t) entry * state.model->shape.positions;
}

static float *
memo_logits(int entry)
{
    return state.memo_logits + (size_t) entry * state.model->shape.labels;
}

static uint32
hash_ids(const int32_t *ids, size_t count)
{
    return hash_bytes((const unsigned char *) ids, (int) (count * sizeof(int32_t)));
}

/* The logits of these token ids, or NULL. */
static const float *
memo_find(uint32 hash, const int32_t *ids, size_t count)
{
    for (int i = 0; i < MEMO_TEXTS; i++)
        if (state.memo[i].hash == hash && state.memo[i].count == count &&
            memcmp(memo_ids(i), ids, count * sizeof(int32_t)) == 0)
            return memo_logits(i);
    return NULL;
}

static void
memo_put(uint32 hash, const int32_t *ids, size_t count, const float *logits)
{
    int         entry = state.memo_next;

    state.memo_next = (entry + 1) % MEMO_TEXTS;
    state.memo[entry].hash = hash;
    state.memo[entry].count = (uint32) count;
    memcpy(memo_ids(entry), ids, count * sizeof(int32_t));
    memcpy(memo_logits(entry), logits, state.model->shape.labels * sizeof(float));
}

/* ---- the batch ------------------------------------------------------------------------------- */

static const int32_t *
batch_ids(size_t text, size_t *count)
{
    *count = state.start[text + 1] - state.start[text];
    return state.ids + state.start[text];
}

/* The text of the batch that has these token ids, or state.texts. */
static size_t
batch_find(uint32 hash, const int32_t *ids, size_t count)
{
    size_t      text;

    for (text = 0; text < state.texts; text++)
    {
        size_t      its_count;
        const int32_t *its_ids = batch_ids(text, &its_count);

        if (state.hash[text] == hash && its_count == count && memcmp(its_ids, ids, count * sizeof(int32_t)) == 0)
            break;
    }
    return text;
}

/*
 * Answer the count ids that stand at the end of the batch's ids from the memo, or take them into the batch, once however
 * often they are asked for.
 */
static void
add_ids(size_t count, float *logits)
{
    const int32_t *ids = state.ids + state.start[state.texts];
    uint32      hash = hash_ids(ids, count);
    const float *known = memo_find(hash, ids, count);
    size_t      text;

    classify_usage.texts++;
    if (known)
    {
        memcpy(logits, known, state.model->shape.labels * sizeof(float));
        return;
    }
    text = batch_find(hash, ids, count);
    if (text == state.texts)
    {
        state.hash[text] = hash;
        state.start[text + 1] = state.start[text] + count;
        state.texts++;
    }
    state.request[state.requests++] = (batch_request) {text, logits};
    if (state.requests == BATCH_TEXTS || state.start[state.texts] >= BATCH_TOKENS)
        classify_flush();
}

SstReading
classify_add_text(Datum text, float *logits)
{
    SstReading  reading = classify_tokenize(state.model, text, state.ids + state.start[state.texts]);

    classify_usage.truncated += reading.truncated;
    add_ids(reading.tokens, logits);
    return reading;
}

void
classify_add_ids(const int32_t *ids, size_t count, float *logits)
{
    memcpy(state.ids + state.start[state.texts], ids, count * sizeof(int32_t));
    add_ids(count, logits);
}

static void
forward(const int32_t *ids, const size_t *start, size_t texts, float *logits)
{
    store_check(sst_forward(state.model, classify_kernels(), ids, start, texts, logits, state.workspace, &store_tick));
}

void
classify_forward(const int32_t *ids, size_t count, float *logits)
{
    const size_t start[2] = {0, count};

    forward(ids, start, 1, logits);
}

/* The forward pass of the batch, counted and timed. */
static void
forward_batch(size_t texts)
{
    instr_time  began,
                took;

    INSTR_TIME_SET_CURRENT(began);
    forward(state.ids, state.start, texts, state.logits);
    INSTR_TIME_SET_CURRENT(took);
    INSTR_TIME_SUBTRACT(took, began);
    classify_usage.batches++;
    classify_usage.distinct += texts;
    classify_usage.tokens += state.start[texts];
    classify_usage.milliseconds += INSTR_TIME_GET_MILLISEC(took);
}

void
classify_flush(void)
{
    const size_t labels = state.model->shape.labels;
    const size_t texts = state.texts;

    if (texts == 0)
        return;
    state.texts = 0;
    forward_batch(texts);
    for (size_t i = 0; i < state.requests; i++)
        memcpy(state.request[i].logits, state.logits + state.request[i].text * labels, labels * sizeof(float));
    state.requests = 0;
    for (size_t i = 0; i < texts; i++)
    {
        size_t      count;
        const int32_t *ids = batch_ids(i, &count);

        memo_put(state.hash[i], ids, count, state.logits + i * labels);
    }
}

void
classify_usage_add(ClassifyUsage *sum, const ClassifyUsage *after, const ClassifyUsage *before)
{
    sum->texts += after->texts - before->texts;
    sum->distinct += after->distinct - before->distinct;
    sum->truncated += after->truncated - before->truncated;
    sum->batches += after->batches - before->batches;
    sum->tokens += after->tokens - before->tokens;
    sum->milliseconds += after->milliseconds - before->milliseconds;
}
