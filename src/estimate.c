/*
 * estimate.c - sst2_estimate(): how long a table will take.
 *
 * The planner knows the number of rows, a sample of blocks shows how long their texts are, and we measure on some of these texts
 * how fast this session is.
 */
#include "postgres.h"

#include <math.h>
#include <time.h>
#include <unistd.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rls.h"

#include "batch/batch.h"
#include "classifier.h"
#include "table.h"

#define COUNTED_TEXTS 3000      /* of the sample: we count their tokens */
#define MEASURED_MS 500         /* of CPU time */
#define KNOWN_WITHIN 1.2        /* the planner's number of rows and that of the sample, a factor */

/* The question, as parts of statements. */
typedef struct Question
{
    const char *table;
    const char *text;           /* an expression */
    const char *schema;         /* of the extension */
    const char *model;          /* NULL: the server's */
} Question;

/* ---- the planner's answers ------------------------------------------------------------------- */

typedef struct PlannedWork
{
    double      rows;
    int         processes;      /* to share the work */
} PlannedWork;

/* The first number of this label in a plan's JSON, or 0. Strings cannot contain a label: JSON escapes their quotes. */
static double
number_of(const char *json, const char *label)
{
    const char *found = strstr(json, label);

    return found ? atof(found + strlen(label)) : 0;
}

/* Plan the query that classifies the whole table. Like any query, this checks the caller's rights. */
static PlannedWork
plan_work(const Question *q)
{
    PlannedWork work;
    const char *json;
    char       *model = q->model ? psprintf(", %s", quote_literal_cstr(q->model)) : "";
    char       *explain = psprintf("EXPLAIN (FORMAT JSON) SELECT %s.sst2_score(%s%s) FROM %s t",
                                   q->schema, q->text, model, q->table);

    if (SPI_execute(explain, false, 0) != SPI_OK_UTILITY || SPI_processed != 1)
        elog(ERROR, "could not plan: %s", explain);
    json = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
    work.rows = number_of(json, "\"Plan Rows\": ");
    work.processes = (int) number_of(json, "\"Workers Planned\": ");
    if (work.processes == 0 || parallel_leader_participation)
        work.processes++;
    work.processes = Max(1, Min(work.processes, (int) sysconf(_SC_NPROCESSORS_ONLN)));
    return work;
}

/* ---- the sample ------------------------------------------------------------------------------ */

typedef struct Sample
{
    double      rows;           /* of the sample */
    double      filled;         /* share of them that have a text */
    int         count;
    Datum      *texts;          /* [count]: the first few come from all over the table, too */
} Sample;

/* A step such that 0, step, 2 * step ... modulo n are n different numbers, any first few of which spread evenly. */
static int
even_step(int n)
{
    int         step = Max(1, (int) (n * 0.618034));

    while (DatumGetInt32(DirectFunctionCall2(int4gcd, Int32GetDatum(n), Int32GetDatum(step))) != 1)
        step++;
    return step;
}

static Sample
read_sample(const Question *q, double percent)
{
    Sample      s = {0};
    char       *query = psprintf("SELECT %s FROM %s t TABLESAMPLE SYSTEM (%.17g)", q->text, q->table, percent);
    Datum      *all;
    int         found = 0;
    int         step;

    if (SPI_execute(query, true, 0) != SPI_OK_SELECT)
        elog(ERROR, "could not read: %s", query);
    s.rows = SPI_processed;
    all = palloc_extended(SPI_processed * sizeof(Datum) + 1, MCXT_ALLOC_HUGE);
    for (uint64 i = 0; i < SPI_processed; i++)
    {
        bool        is_null;
        Datum       text = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &is_null);

        if (!is_null)
            all[found++] = text;
    }
    s.filled = found / s.rows;
    s.count = Min(found, COUNTED_TEXTS);
    s.texts = palloc(s.count * sizeof(Datum) + 1);
    step = even_step(found);
    for (int64 i = 0; i < s.count; i++)
        s.texts[i] = all[i * step % found];
    return s;
}

/* ---- the model ------------------------------------------------------------------------------- */

typedef struct Reading
{
    double      tokens;         /* per text */
    double      truncated;      /* share of texts */
} Reading;

static Reading
read_texts(const sst_model *model, const Sample *s)
{
    int32_t    *ids = palloc(model->shape.positions * sizeof(int32_t));
    Reading     sum = {0};

    for (int i = 0; i < s->count; i++)
    {
        const SstReading reading = sst_text_tokenize(model, s->texts[i], ids);

        sum.tokens += reading.tokens;
        sum.truncated += reading.truncated;
    }
    return (Reading) {sum.tokens / s->count, sum.truncated / s->count};
}

/* Of this process: unlike the clock, it stands still while others have the CPU. */
static double
cpu_milliseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * 1e3 + now.tv_nsec / 1e6;
}

/*
 * Milliseconds per token, in batches like those of queries: that differs little between short and long texts. We do not time the
 * first pass, which reads the model's file into memory. A query finds repeated texts in the memo, and so do we, but in ours is
 * nothing from before.
 */
static double
time_tokens(Classifier *c, const Sample *s)
{
    float      *logits = palloc(sst_classifier_model(c)->shape.labels * sizeof(float)); /* nobody reads them */
    int64       tokens = 0;
    double      began;

    sst_classifier_add_text(c, s->texts[0], logits);
    sst_classifier_flush(c);
    sst_classifier_forget(c);
    began = cpu_milliseconds();
    for (int i = 0; i < s->count && cpu_milliseconds() - began < MEASURED_MS; i++)
    {
        tokens += sst_classifier_add_text(c, s->texts[i], logits).tokens;
        if ((i + 1) % sst_batch_size == 0)
            sst_classifier_flush(c);
    }
    sst_classifier_flush(c);
    return (cpu_milliseconds() - began) / tokens;
}

/* ---- the answer ------------------------------------------------------------------------------ */

/* A measured number to three digits: another measurement differs by more. */
static Datum
measured(double number)
{
    return Float4GetDatum(strtof(psprintf("%.3g", number), NULL));
}

/* The function's columns after the number of rows, from a sample. */
static void
measure(const Question *q, const Sample *s, double rows, int processes, Datum *values)
{
    Classifier *c = sst_classifier_for(q->model);
    const Reading mean = read_texts(sst_classifier_model(c), s);
    const double milliseconds = time_tokens(c, s) * mean.tokens;
    const double hours = rows * s->filled * milliseconds / 3.6e6;

    *values++ = Float4GetDatum((float) mean.tokens);
    *values++ = Float4GetDatum((float) mean.truncated);
    *values++ = measured(milliseconds);
    *values++ = measured(hours);
    *values++ = measured(hours / processes);
}

/*
 * We take the planner's number of rows unless the sample knows better: if the sample is the whole table, if the table was never
 * analyzed or has since got rows of another size, or if a policy hides rows from the caller. Then we scale the sample up.
 */
static bool
planner_knows(const PlannedWork *work, const SstSample *part, double sampled, Oid relation)
{
    return part->percent < 100 && part->analyzed && check_enable_rls(relation, InvalidOid, true) != RLS_ENABLED &&
        work->rows < sampled * KNOWN_WITHIN && sampled < work->rows * KNOWN_WITHIN;
}

static void
estimate(const Question *q, Oid relation, Datum *values, bool *nulls)
{
    const SstSample part = sst_table_sample(relation, true);
    const PlannedWork work = plan_work(q);
    const Sample s = read_sample(q, part.percent);
    const double sampled = rint(s.rows * 100 / part.percent);
    const double rows = planner_knows(&work, &part, sampled, relation) ? work.rows : sampled;

    values[0] = Int64GetDatum((int64) rows);
    memset(nulls + 1, s.count == 0, 5);
    if (s.count > 0)
        measure(q, &s, rows, work.processes, values + 1);
}

/* The call (rel regclass, text_column name, model text). */
PG_FUNCTION_INFO_V1(sst2_estimate);
Datum
sst2_estimate(PG_FUNCTION_ARGS)
{
    Datum       values[6] = {0};
    bool        nulls[6] = {false};
    Question    q = {.schema = sst_table_schema_of(fcinfo->flinfo->fn_oid)};
    TupleDesc   row;
    SstColumn   column;
    Oid         relation;

    if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
        PG_RETURN_NULL();
    if (get_call_result_type(fcinfo, NULL, &row) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    relation = PG_GETARG_OID(0);
    column = sst_table_column(relation, NameStr(*PG_GETARG_NAME(1)), true, InvalidOid);
    sst_table_check_text(relation, &column);
    q.table = sst_table_name(relation);
    q.text = psprintf("t.%s::pg_catalog.text", column.name);
    q.model = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
    SPI_connect();
    sst_table_check_not_distributed(relation);
    estimate(&q, relation, values, nulls);
    SPI_finish();
    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row), values, nulls)));
}
