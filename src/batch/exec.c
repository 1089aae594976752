/*
 * exec.c - the plan node SstBatch: reads rows ahead, classifies their texts together, returns the rows one by one.
 *
 * Batches start at one row and double, up to distilsst.batch_size, so a query that stops early wastes little. A batch ends
 * early when its texts look like enough tokens for the queue, or when its rows fill work_mem.
 *
 * Cursors work as they do without the node. It runs backward row by row if its child can, and for WHERE CURRENT OF it shows the
 * relation and the ctid of a row that comes straight from a scan.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/parallel.h"
#include "access/relscan.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "batch.h"
#include "../compat.h"

/* A call: a column of the widened row. */
typedef struct BatchCall
{
    int         text;           /* which of the row's texts it classifies */
    SstAnswerDatum make;
    float4      confidence;     /* for sst2_label_confident */
    TupleDesc   row_type;       /* for sst2_classify */
} BatchCall;

/* A text of a row. */
typedef struct BatchText
{
    Datum       text;
    const char *model;          /* name; NULL: the server's */
    bool        waits;          /* for its answer; never if text or model is NULL */
    SstAnswer   answer;
} BatchText;

/* What each parallel worker has classified. */
typedef struct SharedUsage
{
    int         workers;
    ClassifierUsage worker[FLEXIBLE_ARRAY_MEMBER];
} SharedUsage;

typedef struct BatchState
{
    CustomScanState css;        /* its scan tuple is the widened row */
    int         width;          /* W: columns of the widened row */
    int         calls;          /* the first of them */
    BatchCall  *call;           /* [calls] */
    int         texts;          /* X: texts of each row */
    List       *arguments;      /* [X] over the widened row: (text) or (text, model) */
    List       *argument_states;    /* [X] */
    ScanState  *scan;           /* the child's rows come straight from it; or NULL */

    MemoryContext context;      /* of the batch */
    TupleTableSlot *child_slot; /* a copied row of the child */
    Datum      *values;         /* [rows][W] */
    bool       *nulls;          /* [rows][W] */
    ItemPointerData *ctid;      /* [rows] */
    BatchText  *text;           /* [rows][X] */
    int         want;           /* most rows of the next batch */
    int         rows;           /* in the batch */
    int         next;           /* the row to return next */
    bool        finished;       /* the child has no more */
    bool        told;           /* our caller knows */
    ClassifierUsage own_usage;  /* at the end, the workers' too */
    ClassifierUsage *usage;     /* where this process counts */
    SharedUsage *shared;        /* in the leader, while there are workers */
} BatchState;

/* ---- reading ahead --------------------------------------------------------------------------- */

/* Make row i of the batch the scan tuple, which all expressions refer to. */
static void
show_row(BatchState *b, int i)
{
    TupleTableSlot *slot = b->css.ss.ss_ScanTupleSlot;

    ExecClearTuple(slot);
    memcpy(slot->tts_values, b->values + (size_t) i * b->width, b->width * sizeof(Datum));
    memcpy(slot->tts_isnull, b->nulls + (size_t) i * b->width, b->width * sizeof(bool));
    ExecStoreVirtualTuple(slot);
    if (b->scan)
    {
        slot->tts_tid = b->ctid[i];
        slot->tts_tableOid = RelationGetRelid(b->scan->ss_currentRelation);
    }
    b->css.ss.ps.ps_ExprContext->ecxt_scantuple = slot;
}

/* Append a row of the child to the batch, with NULLs for the calls. */
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
    if (b->scan && IsA(b->scan, IndexOnlyScanState))
        b->ctid[b->rows] = ((IndexOnlyScanState *) b->scan)->ioss_ScanDesc->xs_heaptid;
    else if (b->scan)
        b->ctid[b->rows] = b->scan->ss_ScanTupleSlot->tts_tid;
}

/* Evaluate (text) or (text, model) over the row that is shown. */
static BatchText
evaluate_text(BatchState *b, List *arguments)
{
    ExprContext *econtext = b->css.ss.ps.ps_ExprContext;
    const bool  named = list_length(arguments) == 2;
    bool        no_text,
                no_model = false;
    Datum       value = ExecEvalExpr((ExprState *) linitial(arguments), econtext, &no_text);
    Datum       model = named ? ExecEvalExpr((ExprState *) lsecond(arguments), econtext, &no_model) : (Datum) 0;

    if (no_text || no_model)
        return (BatchText) {.waits = false};
    return (BatchText) {.text = value, .model = named ? TextDatumGetCString(model) : NULL, .waits = true};
}

/* Append a row of the child and evaluate its texts. Returns a guess of their tokens, at four bytes each as in English. */
static int64
add_row(BatchState *b, TupleTableSlot *row)
{
    MemoryContext old = MemoryContextSwitchTo(b->context);
    BatchText  *text = b->text + (size_t) b->rows * b->texts;
    int64       tokens = 0;
    ListCell   *lc;

    copy_row(b, row);
    show_row(b, b->rows++);
    foreach(lc, b->argument_states)
    {
        *text = evaluate_text(b, lfirst(lc));
        tokens += text->waits ? Min(toast_raw_datum_size(text->text) / 4, 512) : 0;
        text++;
    }
    MemoryContextSwitchTo(old);
    return tokens;
}

/* Read the next batch; it is empty when the child has no more rows. */
static void
read_rows(BatchState *b)
{
    int64       tokens = 0;

    MemoryContextReset(b->context);
    b->values = MemoryContextAlloc(b->context, (Size) b->want * b->width * sizeof(Datum));
    b->nulls = MemoryContextAlloc(b->context, (Size) b->want * b->width * sizeof(bool));
    b->ctid = MemoryContextAlloc(b->context, b->want * sizeof(ItemPointerData));
    b->text = MemoryContextAlloc(b->context, (Size) b->want * b->texts * sizeof(BatchText));
    b->rows = b->next = 0;
    while (!b->finished && b->rows < b->want && tokens < SST_QUEUE_TOKENS &&
           (b->rows == 0 || MemoryContextMemAllocated(b->context, false) < (Size) work_mem * 1024))
    {
        TupleTableSlot *row = ExecProcNode(outerPlanState(b));

        b->finished = TupIsNull(row);
        if (!b->finished)
            tokens += add_row(b, row);
    }
}

/* ---- classifying ----------------------------------------------------------------------------- */

static bool
waits_for(const BatchText *text, const char *model)
{
    return text->waits && (text->model && model ? strcmp(text->model, model) == 0 : text->model == model);
}

/* Answer the texts that wait for this model. */
static void
classify_texts(BatchState *b, const char *name)
{
    Classifier *c = sst_classifier_for(name);
    const sst_model *model = sst_classifier_model(c);
    int         count = b->rows * b->texts;
    float      *logits = palloc((Size) count * model->shape.labels * sizeof(float));
    ClassifierUsage before = sst_classifier_usage;

    for (BatchText *text = b->text; text < b->text + count; text++, logits += model->shape.labels)
        if (waits_for(text, name))
        {
            text->answer = (SstAnswer) {.model = model, .logits = logits};
            text->answer.reading = sst_classifier_add_text(c, text->text, logits);
        }
    sst_classifier_flush(c);
    sst_classifier_add_usage(b->usage, &sst_classifier_usage, &before);
}

/* Fill the calls whose texts wait for this model, all at once: to open another may close it. */
static void
answer_calls(BatchState *b, const char *name)
{
    classify_texts(b, name);
    for (int i = 0; i < b->rows; i++)
        for (int c = 0; c < b->calls; c++)
        {
            BatchText  *text = &b->text[i * b->texts + b->call[c].text];

            if (!waits_for(text, name))
                continue;
            text->answer.row_type = b->call[c].row_type;
            text->answer.confidence = b->call[c].confidence;
            b->values[(Size) i * b->width + c] = b->call[c].make(&text->answer);
            b->nulls[(Size) i * b->width + c] = false;
        }
    for (int i = 0; i < b->rows * b->texts; i++)
        if (waits_for(&b->text[i], name))
            b->text[i].waits = false;
}

static void
classify_rows(BatchState *b)
{
    MemoryContext old = MemoryContextSwitchTo(b->context);

    for (int i = 0; i < b->rows * b->texts; i++)
        if (b->text[i].waits)
            answer_calls(b, b->text[i].model);
    MemoryContextSwitchTo(old);
}

/* ---- the node's methods ---------------------------------------------------------------------- */

/* The scan that returned a node's current row, found below the same nodes as WHERE CURRENT OF finds it; or NULL. */
static ScanState *
scan_of_row(PlanState *node)
{
    switch (nodeTag(node))
    {
        case T_SeqScanState: case T_SampleScanState: case T_IndexScanState: case T_IndexOnlyScanState: case T_BitmapHeapScanState:
        case T_TidScanState:
#if PG_VERSION_NUM >= 140000
        case T_TidRangeScanState:
#endif
            return (ScanState *) node;
        case T_CustomScanState:
            return ((ScanState *) node)->ss_currentRelation ? (ScanState *) node : NULL;
        case T_ResultState: case T_LimitState:
            return outerPlanState(node) ? scan_of_row(outerPlanState(node)) : NULL;
        case T_SubqueryScanState:
            return scan_of_row(((SubqueryScanState *) node)->subplan);
        default:
            return NULL;
    }
}

static void
begin_call(BatchState *b, FuncExpr *call, const char *symbol)
{
    BatchCall  *c = &b->call[b->calls++];
    const BatchFunction *function = sst_batch_function(symbol);
    List       *text = sst_batch_text(call);

    if (function == NULL)
        ereport(ERROR,
                (errcode(ERRCODE_UNDEFINED_FUNCTION),
                 errmsg("function \"%s\" of a plan is not in this version of distilsst", symbol)));
    /* checks the privilege to EXECUTE */
    ExecInitExpr((Expr *) call, NULL);
    c->make = function->make;
    if (sst_batch_confidence(call))
        c->confidence = DatumGetFloat4(castNode(Const, sst_batch_confidence(call))->constvalue);
    b->arguments = list_append_unique(b->arguments, text);
    c->text = sst_batch_position(b->arguments, text) - 1;
    if (function->result == RECORDOID && get_expr_result_type((Node *) call, NULL, &c->row_type) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    if (c->row_type)
        BlessTupleDesc(c->row_type);
}

static void
begin_batch(CustomScanState *css, EState *estate, int eflags)
{
    BatchState *b = (BatchState *) css;
    CustomScan *plan = (CustomScan *) css->ss.ps.plan;
    ListCell   *lc;

    outerPlanState(b) = ExecInitNode(outerPlan(plan), estate, eflags);
    b->child_slot = ExecInitExtraTupleSlot(estate, ExecGetResultType(outerPlanState(b)), &TTSOpsMinimalTuple);
    b->scan = scan_of_row(outerPlanState(b));
    css->ss.ss_currentRelation = b->scan ? b->scan->ss_currentRelation : NULL;
    b->context = AllocSetContextCreate(CurrentMemoryContext, "SstBatch", ALLOCSET_DEFAULT_SIZES);
    b->usage = &b->own_usage;
    b->want = 1;
    b->width = list_length(plan->custom_scan_tlist);
    b->call = palloc0(list_length(plan->custom_private) * sizeof(BatchCall));
    foreach(lc, plan->custom_private)
        begin_call(b, (FuncExpr *) list_nth_node(TargetEntry, plan->custom_scan_tlist, b->calls)->expr, strVal(lfirst(lc)));
    Assert(b->width - b->calls == b->child_slot->tts_tupleDescriptor->natts);
    b->texts = list_length(b->arguments);
    foreach(lc, b->arguments)
        b->argument_states = lappend(b->argument_states, ExecInitExprList(lfirst(lc), &css->ss.ps));
}

static void
forget_rows(BatchState *b)
{
    ExecClearTuple(b->css.ss.ss_ScanTupleSlot);
    b->rows = b->next = 0;
    b->want = 1;
    b->finished = b->told = false;
}

static void
fetch_forward(BatchState *b)
{
    b->want = Min(b->want, sst_batch_size);
    read_rows(b);
    b->want *= 2;
}

/* Read the row before the current one. The child is ahead by the rows that are left, and by one if it is behind its last row. */
static void
fetch_backward(BatchState *b)
{
    int         steps = b->rows - b->next + (b->finished && !b->told);

    while (steps-- > 0)
        ExecProcNode(outerPlanState(b));
    forget_rows(b);
    read_rows(b);
    b->finished = false;
}

static TupleTableSlot *
exec_batch(CustomScanState *css)
{
    BatchState *b = (BatchState *) css;
    ExprContext *econtext = css->ss.ps.ps_ExprContext;
    const bool  forward = ScanDirectionIsForward(css->ss.ps.state->es_direction);

    for (;;)
    {
        if (!forward || b->next == b->rows)
        {
            (forward ? fetch_forward : fetch_backward) (b);
            classify_rows(b);
            b->told = b->rows == 0;
        }
        if (b->told)
            return ExecClearTuple(css->ss.ss_ScanTupleSlot);
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
    forget_rows((BatchState *) css);
    /* otherwise ExecProcNode() does so */
    if (outerPlanState(css)->chgParam == NULL)
        ExecReScan(outerPlanState(css));
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
    return offsetof(SharedUsage, worker) + pcxt->nworkers * sizeof(ClassifierUsage);
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
    ((BatchState *) css)->usage = &((SharedUsage *) memory)->worker[ParallelWorkerNumber];
}

/* In the leader. The workers have ended, or are about to because nobody wants more rows. */
static void
shutdown_batch(CustomScanState *css)
{
    const ClassifierUsage none = {0};
    BatchState *b = (BatchState *) css;

    if (!b->shared)
        return;
    for (int i = 0; i < b->shared->workers; i++)
    {
        sst_classifier_add_usage(&b->own_usage, &b->shared->worker[i], &none);
        sst_classifier_add_usage(&sst_classifier_usage, &b->shared->worker[i], &none);
    }
    b->shared = NULL;
}

static void
explain_texts(BatchState *b, List *ancestors, ExplainState *es)
{
    List       *context = set_deparse_context_plan(es->deparse_cxt, b->css.ss.ps.plan, ancestors);
    bool        prefix = list_length(es->rtable) > 1 || es->verbose;
    List       *texts = NIL;
    List       *models = NIL;
    ListCell   *lc;

    foreach(lc, b->arguments)
    {
        List       *arguments = lfirst(lc);

        texts = lappend(texts, deparse_expression(linitial(arguments), context, prefix, false));
        models = list_append_unique(models, makeString(list_length(arguments) == 1 ? (char *) sst_models_server_name() :
                                                       deparse_expression(lsecond(arguments), context, prefix, false)));
    }
    foreach(lc, models)
        lfirst(lc) = strVal(lfirst(lc));
    ExplainPropertyList("Text", texts, es);
    ExplainPropertyList("Model", models, es);
}

static void
explain_batch(CustomScanState *css, List *ancestors, ExplainState *es)
{
    BatchState *b = (BatchState *) css;
    const ClassifierUsage *usage = &b->own_usage;

    explain_texts(b, ancestors, es);
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
    .ReInitializeDSMCustomScan = initialize_shared,
    .InitializeWorkerCustomScan = initialize_worker,
    .ShutdownCustomScan = shutdown_batch,
    .ExplainCustomScan = explain_batch
};

static Node *
create_batch_state(CustomScan *plan)
{
    BatchState *b = (BatchState *) newNode(sizeof(BatchState), T_CustomScanState);

    (void) plan;
    b->css.methods = &batch_exec_methods;
    return (Node *) b;
}

const CustomScanMethods sst_batch_methods = {
    .CustomName = "SstBatch",
    .CreateCustomScanState = create_batch_state
};
