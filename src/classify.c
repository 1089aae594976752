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
#include "utils/guc.h"
#include "utils/memutils.h"

#include "classify.h"
#include "store.h"

#define BATCH_TOKENS 2048       /* flush the batch when it has so many */
#define BATCH_TEXTS 512         /* or so many texts */
#define MEMO_TEXTS 64
#define FIRST_SLICE 8192        /* bytes of a text that are looked at first: enough for 512 tokens of prose */

typedef struct memo_entry
{
    uint32      hash;           /* of the ids */
    uint32      count;          /* of the ids; 0: empty */
} memo_entry;

static struct
{
    MemoryContext context;
    uint64      generation;     /* of the model that all this was made for */
    const sst_model *model;
    void       *workspace;
    int32_t    *ids;            /* [BATCH_TOKENS + positions] */
    size_t     *start;          /* [BATCH_TEXTS + 1] */
    float     **results;        /* [BATCH_TEXTS]: where each text's logits go */
    float      *logits;         /* [BATCH_TEXTS][C] */
    size_t      texts;          /* in the batch */

    memo_entry  memo[MEMO_TEXTS];
    int32_t    *memo_ids;       /* [MEMO_TEXTS][positions] */
    float      *memo_logits;    /* [MEMO_TEXTS][C] */
    int         memo_next;      /* the oldest entry */
} state;

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
    state.results = palloc(BATCH_TEXTS * sizeof(float *));
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
memo_find(const int32_t *ids, size_t count)
{
    uint32      hash = hash_ids(ids, count);

    for (int i = 0; i < MEMO_TEXTS; i++)
        if (state.memo[i].hash == hash && state.memo[i].count == count &&
            memcmp(memo_ids(i), ids, count * sizeof(int32_t)) == 0)
            return memo_logits(i);
    return NULL;
}

static void
memo_put(const int32_t *ids, size_t count, const float *logits)
{
    int         entry = state.memo_next;

    state.memo_next = (entry + 1) % MEMO_TEXTS;
    state.memo[entry].hash = hash_ids(ids, count);
    state.memo[entry].count = (uint32) count;
    memcpy(memo_ids(entry), ids, count * sizeof(int32_t));
    memcpy(memo_logits(entry), logits, state.model->shape.labels * sizeof(float));
}

/* ---- the batch ------------------------------------------------------------------------------- */

/* Take the count ids that stand at the end of the batch's ids into the batch, or answer them from the memo. */
static void
add_ids(size_t count, float *logits)
{
    const int32_t *ids = state.ids + state.start[state.texts];
    const float *known = memo_find(ids, count);

    if (known)
    {
        memcpy(logits, known, state.model->shape.labels * sizeof(float));
        return;
    }
    state.results[state.texts] = logits;
    state.start[state.texts + 1] = state.start[state.texts] + count;
    state.texts++;
    if (state.texts == BATCH_TEXTS || state.start[state.texts] >= BATCH_TOKENS)
        classify_flush();
}

SstReading
classify_add_text(Datum text, float *logits)
{
    SstReading  reading = classify_tokenize(state.model, text, state.ids + state.start[state.texts]);

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

void
classify_flush(void)
{
    const size_t labels = state.model->shape.labels;
    const size_t texts = state.texts;

    state.texts = 0;
    forward(state.ids, state.start, texts, state.logits);
    for (size_t i = 0; i < texts; i++)
    {
        const float *logits = state.logits + i * labels;

        memcpy(state.results[i], logits, labels * sizeof(float));
        memo_put(state.ids + state.start[i], state.start[i + 1] - state.start[i], logits);
    }
}
