/*
 * exec.c - the plan node SstBatch: reads rows ahead, classifies their texts together, gives the rows out one by one.
 *
 * Batches grow: 1 row, 2, 4 ... up to distilsst.batch_size, so that who wants few rows does not pay for many; and they end
 * when their texts look like enough tokens, or their rows fill work_mem.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/parallel.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/ruleutils.h"

#include "batch.h"
#include "../compat.h"

#define TEXT_TOKENS 512         /* of a text at most, as guessed */
#define TOKEN_BYTES 4           /* of English */

/* A call: a column of the widened row. */
typedef struct batch_call
{
    int         text;           /* which of the row's texts it classifies */
    SstAnswerDatum make;
    TupleDesc   row;            /* of sst2_classify */
} batch_call;

/* What each worker has classified. */
typedef struct shared_usage
{
    int         workers;
    ClassifierUsage worker[FLEXIBLE_ARRAY_MEMBER];
} shared_usage;

typedef struct BatchState
{
    CustomScanState css;        /* its scan tuple is the widened row */
    int         width;          /* W, columns of the widened row */
    int         calls;          /* of them */
    batch_call *call;           /* [calls] */
    int         texts;          /* X, classified in each row */
    List       *text_exprs;     /* [X] over the widened row */
    ExprState **text;           /* [X] */

    MemoryContext context;      /* of the batch */
    TupleTableSlot *child_slot; /* a copied row of the child */
    Datum      *values;         /* [rows][W] */
    bool       *nulls;          /* [rows][W] */
    NullableDatum *text_value;  /* [rows][X] */
    int         want;           /* rows of the next batch at most */
    int         rows;           /* in the batch */
    int         next;           /* to be given out */
    bool        finished;       /* the child has no more */
    ClassifierUsage own_usage;    /* and, when they are done, of the workers */
    ClassifierUsage *usage;       /* where this process counts */
    shared_usage *shared;       /* the leader's, while there are workers */
} BatchState;

static const CustomExecMethods batch_exec_methods;

/* ---- reading ahead --------------------------------------------------------------------------- */

/* Make row i of the batch the scan tuple, over which all expressions are evaluated. */
static void
show_row(BatchState *b, int i)
{
    TupleTableSlot *slot = b->css.ss.ss_ScanTupleSlot;

    ExecClearTuple(slot);
    memcpy(slot->tts_values, b->values + (size_t) i * b->width, b->width * sizeof(Datum));
    memcpy(slot->tts_isnull, b->nulls + (size_t) i * b->width, b->width * sizeof(bool));
    ExecStoreVirtualTuple(slot);
    b->css.ss.ps.ps_ExprContext->ecxt_scantuple = slot;
}

/* Copy a row of the child to the end of the batch; its calls are NULL so far. */
static void
copy_row(BatchState *b, TupleTableSlot *row)
{
    Datum      *values = b->values + (size_t) b->rows * b->width;
    bool       *nulls = b->nulls + (size_t) b->rows * b->width;
    int         columns = b->width - b->calls;

    ExecStoreMinimalTuple(ExecCopySlotMinimalTuple(row), b->child_slot, false);
    slot_getallattrs(b->child_slot);
    memset(values, 0, b->calls * sizeof(Datum));
    memset(nulls, true, b->calls * sizeof(bool));
    memcpy(values + b->calls, b->child_slot->tts_values, columns * sizeof(Datum));
    memcpy(nulls + b->calls, b->child_slot->tts_isnull, columns * sizeof(bool));
}

/* How many tokens a text may have: only the length of batches depends on it. */
static int64
guess_tokens(NullableDatum text)
{
    if (text.isnull)
        return 0;
    return Min(toast_raw_datum_size(text.value) / TOKEN_BYTES, TEXT_TOKENS);
}

/* Add a row of the child to the batch and evaluate its texts; returns how many tokens they may have. */
static int64
add_row(BatchState *b, TupleTableSlot *row)
{
    MemoryContext old = MemoryContextSwitchTo(b->context);
    int64       tokens = 0;

    copy_row(b, row);
    show_row(b, b->rows);
    for (int x = 0; x < b->texts; x++)
    {
        NullableDatum *text = &b->text_value[b->rows * b->texts + x];

        text->value = ExecEvalExpr(b->text[x], b->css.ss.ps.ps_ExprContext, &text->isnull);
        tokens += guess_tokens(*text);
    }
    b->rows++;
    MemoryContextSwitchTo(old);
    return tokens;
}

static void
read_rows(BatchState *b)
{
    int         want = Min(b->want, sst_batch_size);
    int64       tokens = 0;

    MemoryContextReset(b->context);
    b->values = MemoryContextAlloc(b->context, (Size) want * b->width * sizeof(Datum));
    b->nulls = MemoryContextAlloc(b->context, (Size) want * b->width * sizeof(bool));
    b->text_value = MemoryContextAlloc(b->context, (Size) want * b->texts * sizeof(NullableDatum));
    b->rows = b->next = 0;
    do
    {
        TupleTableSlot *row = ExecProcNode(outerPlanState(b));

        b->finished = TupIsNull(row);
        if (b->finished)
            break;
        tokens += add_row(b, row);
    } while (b->rows < want && tokens < SST_QUEUE_TOKENS &&
             MemoryContextMemAllocated(b->context, false) < (Size) work_mem * 1024);
    b->want = want * 2;
}

/* ---- classifying ----------------------------------------------------------------------------- */

/* The answers to the batch's texts [rows][X]; undefined for NULLs. Nothing else may be classified meanwhile. */
static SstAnswer *
classify_texts(BatchState *b)
{
    int         count = b->rows * b->texts;
    Classifier *c = sst_classifier_for(NULL);
    const sst_model *model = sst_classifier_model(c);
    float      *logits = palloc((Size) count * model->shape.labels * sizeof(float));
    SstAnswer  *answers = palloc(count * sizeof(SstAnswer));
    ClassifierUsage before = sst_classifier_usage;

    for (int i = 0; i < count; i++)
    {
        float      *its_logits = logits + (Size) i * model->shape.labels;

        answers[i] = (SstAnswer) {.model = model, .logits = its_logits};
        if (!b->text_value[i].isnull)
            answers[i].reading = sst_classifier_add_text(c, b->text_value[i].value, its_logits);
    }
    sst_classifier_flush(c);
    sst_classifier_add_usage(b->usage, &sst_classifier_usage, &before);
    return answers;
}

/* Fill the calls of the batch's rows. The answers' model may go when the next row is read, so all at once. */
static void
classify_rows(BatchState *b)
{
    MemoryContext old = MemoryContextSwitchTo(b->context);
    const SstAnswer *answers = classify_texts(b);

    for (int i = 0; i < b->rows; i++)
        for (int c = 0; c < b->calls; c++)
        {
            int         text = i * b->texts + b->call[c].text;
            SstAnswer   answer = answers[text];

            if (b->text_value[text].isnull)
                continue;
            answer.row = b->call[c].row;
            b->values[(Size) i * b->width + c] = b->call[c].make(&answer);
            b->nulls[(Size) i * b->width + c] = false;
        }
    MemoryContextSwitchTo(old);
}

/* As a strict function, the model is not asked for where there are only NULLs. */
static bool
has_texts(const BatchState *b)
{
    for (int i = 0; i < b->rows * b->texts; i++)
        if (!b->text_value[i].isnull)
            return true;
    return false;
}

/* ---- the node's methods ---------------------------------------------------------------------- */

static Node *
create_batch_state(CustomScan *plan)
{
    BatchState *b = (BatchState *) newNode(sizeof(BatchState), T_CustomScanState);

    (void) plan;
    b->css.methods = &batch_exec_methods;
    return (Node *) b;
}

static void
begin_call(BatchState *b, FuncExpr *call)
{
    batch_call *c = &b->call[b->calls++];

    /* checks the privilege to EXECUTE, as where the call stood */
    ExecInitExpr((Expr *) call, NULL);
    c->make = batch_function(call->funcid)->make;
    c->text = batch_position(&b->text_exprs, linitial(call->args)) - 1;
    if (get_expr_result_type((Node *) call, NULL, &c->row) == TYPEFUNC_COMPOSITE)
        BlessTupleDesc(c->row);
}

static void
begin_batch(CustomScanState *css, EState *estate, int eflags)
{
    BatchState *b = (BatchState *) css;
    CustomScan *plan = (CustomScan *) css->ss.ps.plan;
    ListCell   *lc;

    outerPlanState(b) = ExecInitNode(outerPlan(plan), estate, eflags);
    b->child_slot = ExecInitExtraTupleSlot(estate, ExecGetResultType(outerPlanState(b)), &TTSOpsMinimalTuple);
    b->context = AllocSetContextCreate(CurrentMemoryContext, "SstBatch", ALLOCSET_DEFAULT_SIZES);
    b->usage = &b->own_usage;
    b->want = 1;
    b->width = list_length(plan->custom_scan_tlist);
    b->call = palloc(b->width * sizeof(batch_call));
    foreach(lc, plan->custom_scan_tlist)
    {
        Expr       *column = lfirst_node(TargetEntry, lc)->expr;

        if (IsA(column, FuncExpr))
            begin_call(b, (FuncExpr *) column);
    }
    b->texts = list_length(b->text_exprs);
    b->text = palloc(b->texts * sizeof(ExprState *));
    foreach(lc, b->text_exprs)
        b->text[foreach_current_index(lc)] = ExecInitExpr(lfirst(lc), &css->ss.ps);
}

static TupleTableSlot *
exec_batch(CustomScanState *css)
{
    BatchState *b = (BatchState *) css;
    ExprContext *econtext = css->ss.ps.ps_ExprContext;

    for (;;)
    {
        if (b->next == b->rows)
        {
            if (b->finished)
                return NULL;
            read_rows(b);
            if (has_texts(b))
                classify_rows(b);
            continue;
        }
        ResetExprContext(econtext);
        show_row(b, b->next++);
        if (ExecQual(css->ss.ps.qual, econtext))
            return css->ss.ps.ps_ProjInfo ? ExecProject(css->ss.ps.ps_ProjInfo) : econtext->ecxt_scantuple;
        InstrCountFiltered1(css, 1);
    }
}

static void
rescan_batch(CustomScanState *css)
{
    BatchState *b = (BatchState *) css;

    b->rows = b->next = 0;
    b->want = 1;
    b->finished = false;
    /* otherwise ExecProcNode() does so */
    if (outerPlanState(b)->chgParam == NULL)
        ExecReScan(outerPlanState(b));
}

static void
end_batch(CustomScanState *css)
{
    ExecEndNode(outerPlanState(css));
}

/* ---- what happened --------------------------------------------------------------------------- */

static Size
estimate_shared(CustomScanState *css, ParallelContext *pcxt)
{
    (void) css;
    return offsetof(shared_usage, worker) + pcxt->nworkers * sizeof(ClassifierUsage);
}

static void
initialize_shared(CustomScanState *css, ParallelContext *pcxt, void *memory)
{
    BatchState *b = (BatchState *) css;

    b->shared = memory;
    memset(b->shared, 0, estimate_shared(css, pcxt));
    b->shared->workers = pcxt->nworkers;
}

static void
initialize_worker(CustomScanState *css, shm_toc *toc, void *memory)
{
    (void) toc;
    ((BatchState *) css)->usage = &((shared_usage *) memory)->worker[ParallelWorkerNumber];
}

/* The leader's: the workers have ended, or are about to because no more rows are wanted. */
static void
shutdown_batch(CustomScanState *css)
{
    const ClassifierUsage none = {0};
    BatchState *b = (BatchState *) css;

    if (!b->shared)
        return;
    for (int i = 0; i < b->shared->workers; i++)
        sst_classifier_add_usage(&b->own_usage, &b->shared->worker[i], &none);
    b->shared = NULL;
}

static void
explain_batch(CustomScanState *css, List *ancestors, ExplainState *es)
{
    BatchState *b = (BatchState *) css;
    const ClassifierUsage *usage = &b->own_usage;
    List       *context = set_deparse_context_plan(es->deparse_cxt, css->ss.ps.plan, ancestors);
    bool        prefix = list_length(es->rtable) > 1 || es->verbose;
    List       *texts = NIL;
    ListCell   *lc;

    foreach(lc, b->text_exprs)
        texts = lappend(texts, deparse_expression(lfirst(lc), context, prefix, false));
    ExplainPropertyList("Text", texts, es);
    if (!es->analyze)
        return;
    ExplainPropertyInteger("Texts Classified", NULL, usage->texts, es);
    ExplainPropertyInteger("Distinct Texts", NULL, usage->distinct, es);
    ExplainPropertyInteger("Truncated Texts", NULL, usage->truncated, es);
    ExplainPropertyInteger("Batches", NULL, usage->batches, es);
    ExplainPropertyInteger("Tokens", NULL, usage->tokens, es);
    if (es->timing)
        ExplainPropertyFloat("Time in Model", "ms", usage->milliseconds, 3, es);
}

static const CustomExecMethods batch_exec_methods = {
    .CustomName = "SstBatch",
    .BeginCustomScan = begin_batch,
    .ExecCustomScan = exec_batch,
    .EndCustomScan = end_batch,
    .ReScanCustomScan = rescan_batch,
    .EstimateDSMCustomScan = estimate_shared,
    .InitializeDSMCustomScan = initialize_shared,
    .InitializeWorkerCustomScan = initialize_worker,
    .ShutdownCustomScan = shutdown_batch,
    .ExplainCustomScan = explain_batch
};

const CustomScanMethods batch_scan_methods = {
    .CustomName = "SstBatch",
    .CreateCustomScanState = create_batch_state
};
