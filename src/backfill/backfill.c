/*
 * backfill.c - sst2_backfill(): reads a batch of rows, classifies their texts, writes the answers, commits.
 *
 * The first pass follows the primary key and skips rows that others have locked, so sessions share the work. A second pass begins
 * only if something is still missing then: rows that were locked, that a killed session lost, or that came in behind the
 * position. It waits for each.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "../answer.h"
#include "../classifier.h"
#include "backfill.h"

#define MAX_BATCH 100000        /* rows */
#define NOTICE_MS 5000

typedef struct Backfill
{
    TargetNames names;
    int         batch;          /* rows */
    double      pause;          /* seconds */
    char        fingerprint[65];
    Oid         index;          /* whose keys the position has */
    Position    position;       /* the row after which to go on; in its own context */
    MemoryContext position_context;
    MemoryContext context;      /* of the current transaction's work */
    Progress    progress;
    int64       filled;         /* by this call */
    TimestampTz said;           /* time of the last NOTICE */
} Backfill;

/* ---- transactions ---------------------------------------------------------------------------- */

/* Each batch sees what others have committed, whatever the session's default isolation is. */
static void
commit(Backfill *b)
{
    SPI_commit();
    SPI_start_transaction();
    SPI_execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED", false, 0);
    MemoryContextReset(b->context);
    MemoryContextSwitchTo(b->context);
}

/* The table in a new transaction. If it has another primary key now, start again: a position holds values of the old one. */
static Target *
find_target(Backfill *b)
{
    Target     *target = sst_target(&b->names, b->fingerprint);

    if (target->index != b->index)
        b->position.set = false;
    b->index = target->index;
    return target;
}

/* ---- positions ------------------------------------------------------------------------------- */

/* Copies a position into the context of positions, in place of the former one. */
static void
go_to(Backfill *b, const Target *target, const Position *position)
{
    MemoryContext old;

    MemoryContextReset(b->position_context);
    old = MemoryContextSwitchTo(b->position_context);
    for (int i = 0; i < target->keys; i++)
        b->position.key[i] = datumCopy(position->key[i], target->key[i].by_value, target->key[i].length);
    b->position.set = true;
    MemoryContextSwitchTo(old);
}

/* The key of a row that sst_target_select() returned. */
static Position
position_of(const Target *target, const SPITupleTable *rows, uint64 row)
{
    Position    position = {.set = true};
    bool        is_null;

    for (int i = 0; i < target->keys; i++)
    {
        Datum       value = SPI_getbinval(rows->vals[row], rows->tupdesc, i + 1, &is_null);

        position.key[i] = target->key[i].length == -1 ? PointerGetDatum(PG_DETOAST_DATUM(value)) : value;
    }
    return position;
}

/* ---- messages -------------------------------------------------------------------------------- */

/* A NOTICE every few seconds, also within a long batch. classified: what is done of it. */
static void
say_progress(Backfill *b, Work classified)
{
    const Progress *p = &b->progress;
    const TimestampTz now = GetCurrentTimestamp();
    const double done = p->done + classified.rows;
    const int64 left = p->bytes_rate > 0 ? (int64) (Max(0, p->bytes_left - classified.bytes) / p->bytes_rate) : 0;

    if (!TimestampDifferenceExceeds(b->said, now, NOTICE_MS))
        return;
    b->said = now;
    if (p->bytes_rate > 0)
        ereport(NOTICE,
                (errmsg("sst2_backfill: %.0f of about %lld rows, %.0f rows/s, about %lld:%02d:%02d left",
                        done, (long long) p->total, p->rows_rate,
                        (long long) (left / 3600), (int) (left / 60 % 60), (int) (left % 60))));
    else
        ereport(NOTICE,
                (errmsg("sst2_backfill: %.0f of about %lld rows", done, (long long) p->total)));
}

/* ---- a batch --------------------------------------------------------------------------------- */

/* The logits [count][C] of the texts of these rows. *done says how much work that was. */
static float *
classify_rows(Backfill *b, Classifier *c, const Target *target, const SPITupleTable *rows, int count, Work *done)
{
    const size_t labels = sst_classifier_model(c)->shape.labels;
    float      *logits = palloc_extended(count * labels * sizeof(float), MCXT_ALLOC_HUGE);

    *done = (Work) {0};
    for (int i = 0; i < count; i++)
    {
        bool        is_null;
        Datum       text = SPI_getbinval(rows->vals[i], rows->tupdesc, target->keys + 1, &is_null);

        sst_classifier_add_text(c, text, logits + i * labels);
        say_progress(b, *done);
        done->rows++;
        done->bytes += sst_target_bytes(text);
    }
    sst_classifier_flush(c);
    return logits;
}

/* The rows' keys and answers. */
static Tuplestorestate *
store_answers(const Target *target, TupleDesc row, const SPITupleTable *rows, int count, const sst_model *model,
              const float *logits)
{
    Tuplestorestate *store = tuplestore_begin_heap(false, false, work_mem);

    for (int i = 0; i < count; i++)
    {
        const SstAnswer answer = {.model = model, .logits = logits + (size_t) i * model->shape.labels};
        Position    key = position_of(target, rows, i);
        Datum       values[INDEX_MAX_KEYS + 2];
        bool        nulls[INDEX_MAX_KEYS + 2] = {false};

        memcpy(values, key.key, target->keys * sizeof(Datum));
        values[ANSWER_LABEL(target)] = sst_answer_label(&answer);
        values[ANSWER_SCORE(target)] = sst_answer_score(&answer);
        tuplestore_putvalues(store, row, values, nulls);
    }
    return store;
}

/* Fill the next rows after the position that nobody else has locked. Returns the work; *last is the key of the last row. */
static Work
fill_batch(Backfill *b, const Target *target, Position *last)
{
    Work        done = {0};
    const SPITupleTable *rows;
    Tuplestorestate *answers;
    TupleDesc   row;
    Classifier *c;
    float      *logits;
    int         count;

    sst_target_select(target, &b->position, b->batch, true);
    count = (int) SPI_processed;
    if (count == 0)
        return done;
    rows = SPI_tuptable;
    c = sst_classifier_for(NULL);
    logits = classify_rows(b, c, target, rows, count, &done);
    row = sst_target_answer_row(target);
    answers = store_answers(target, row, rows, count, sst_classifier_model(c), logits);
    *last = position_of(target, rows, count - 1);
    sst_target_update(target, row, answers, count);
    tuplestore_end(answers);
    b->filled += count;
    return done;
}

/* ---- the passes ------------------------------------------------------------------------------ */

static void
end_batch(Backfill *b)
{
    commit(b);
    say_progress(b, (Work) {0});
    if (b->pause > 0)
        DirectFunctionCall1(pg_sleep, Float8GetDatum(b->pause));
}

/* Does one batch. Returns false if there is none. */
static bool
follow_key(Backfill *b)
{
    Target     *target = find_target(b);
    Position    last;
    Work        done = fill_batch(b, target, &last);

    if (done.rows == 0)
        return false;
    sst_progress_advance(&b->progress, target, done, &last);
    go_to(b, target, &last);
    end_batch(b);
    return true;
}

/*
 * Waits for the next row that is missing, with no row locked, and does one batch from there on. The position moves to that row
 * only, since later rows of the batch may be locked.
 */
static bool
take_up(Backfill *b)
{
    Target     *target = find_target(b);
    Position    next,
                last;

    sst_target_select(target, &b->position, 1, false);
    if (SPI_processed == 0)
        return false;
    next = position_of(target, SPI_tuptable, 0);
    sst_target_wait(target, &next);
    sst_progress_advance(&b->progress, target, fill_batch(b, target, &last), NULL);
    go_to(b, target, &next);
    end_batch(b);
    return true;
}

static void
run_passes(Backfill *b)
{
    while (follow_key(b))
        ;
    commit(b);
    if (sst_target_is_due(find_target(b)))
    {
        b->position.set = false;
        while (take_up(b))
            ;
    }
    sst_progress_end(&b->progress);
}

/* ---- the call -------------------------------------------------------------------------------- */

static void
check_context(FunctionCallInfo fcinfo)
{
    const CallContext *call = (const CallContext *) fcinfo->context;

    if (!call || !IsA(call, CallContext) || call->atomic)
        ereport(ERROR,
                (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
                 errmsg("sst2_backfill cannot run inside a transaction block"),
                 errdetail("It commits after each batch, which needs autocommit."),
                 errhint("Call it by itself, with autocommit on: autocommit=True in psycopg, "
                         "isolation_level=\"AUTOCOMMIT\" in SQLAlchemy.")));
    PreventCommandDuringRecovery("CALL sst2_backfill");
    PreventCommandIfReadOnly("CALL sst2_backfill");
}

static const char *
name_argument(FunctionCallInfo fcinfo, int n)
{
    return PG_ARGISNULL(n) ? NULL : pstrdup(NameStr(*PG_GETARG_NAME(n)));
}

static double
seconds_of(const Interval *interval)
{
    return interval->time / 1e6 + (interval->day + interval->month * (double) DAYS_PER_MONTH) * SECS_PER_DAY;
}

static void
read_arguments(FunctionCallInfo fcinfo, Backfill *b)
{
    if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(5) || PG_ARGISNULL(6))
        ereport(ERROR,
                (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
                 errmsg("rel, text_column, batch and pause must not be null")));
    b->names = (TargetNames) {
        PG_GETARG_OID(0), name_argument(fcinfo, 1), name_argument(fcinfo, 2), name_argument(fcinfo, 3), name_argument(fcinfo, 4)
    };
    b->batch = PG_GETARG_INT32(5);
    b->pause = seconds_of(PG_GETARG_INTERVAL_P(6));
    if (!b->names.label && !b->names.score)
        ereport(ERROR,
                (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                 errmsg("there is no column to be filled"),
                 errhint("Name label_column, score_column or both.")));
    if (b->batch < 1 || b->batch > MAX_BATCH || b->pause < 0)
        ereport(ERROR,
                (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                 errmsg("batch must be 1 to %d rows, and pause not negative", MAX_BATCH)));
}

static void
begin(FunctionCallInfo fcinfo, Backfill *b)
{
    Target     *target;
    Position    position;

    strlcpy(b->fingerprint, sst_classifier_model(sst_classifier_for(NULL))->fingerprint, sizeof(b->fingerprint));
    target = sst_target(&b->names, b->fingerprint);
    b->index = target->index;
    sst_target_select(target, &b->position, 0, true);   /* a caller without rights leaves no row in sst2_backfills */
    b->progress = (Progress) {
        .function = fcinfo->flinfo->fn_oid, .relation = b->names.relation, .role = GetUserId(),
        .columns = {target->text.number, target->label.number, target->score.number, target->model.number}
    };
    sst_progress_begin(&b->progress, target, sst_target_count_due(target, b->names.relation), &position);
    if (position.set)
        go_to(b, target, &position);
    b->said = GetCurrentTimestamp();
    commit(b);
}

/* The call (rel, text_column, label_column, score_column, model_column, batch, pause). */
PG_FUNCTION_INFO_V1(sst2_backfill);
Datum
sst2_backfill(PG_FUNCTION_ARGS)
{
    Backfill    b = {0};

    check_context(fcinfo);
    SPI_connect_ext(SPI_OPT_NONATOMIC);
    b.context = AllocSetContextCreate(CurrentMemoryContext, "distilsst batch", ALLOCSET_DEFAULT_SIZES);
    b.position_context = AllocSetContextCreate(CurrentMemoryContext, "distilsst position", ALLOCSET_SMALL_SIZES);
    read_arguments(fcinfo, &b);
    commit(&b);                 /* the caller's transaction may be of another isolation level */
    begin(fcinfo, &b);
    run_passes(&b);
    SPI_finish();
    ereport(NOTICE,
            (errmsg("sst2_backfill: %lld rows filled", (long long) b.filled)));
    PG_RETURN_VOID();
}
