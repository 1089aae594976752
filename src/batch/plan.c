/*
 * plan.c - where plans get the node SstBatch.
 *
 * The planner's finished plan is walked. A node whose target list or qual has calls gets SstBatch above it, which takes over
 *
 *   - the target list: the node gives the columns that it is made of;
 *   - the quals from the first one with a call on, never single ones, for their order carries cost and security level.
 *
 * Before, calls come to where their texts are: those that an aggregate makes for each of its input rows into a projection
 * below it, and from a projection those whose texts come through Sort or Gather into the node below these, as one column more.
 *
 * A call is moved only if the plan as it was would surely have made it for each row: not from within CASE, AND or COALESCE,
 * unless the same text is classified for each row anyway. Nothing but columns and the calls' arguments is evaluated ahead:
 * the rest of a target list or qual is, as before, where its row is given out. What may be read ahead says safe.c.
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/planner.h"
#include "optimizer/tlist.h"
#include "utils/guc.h"
#include "utils/plancache.h"

#include "calls.h"
#include "../compat.h"

int         sst_batch_size;

static planner_hook_type previous_planner;

/* The plans of a statement, being rewritten. */
typedef struct Rewrite
{
    BatchStatement statement;
    int         last_node_id;   /* the planner's own ids are not negative, ours are */
    bool        in_worker;      /* below Gather */
} Rewrite;

/* What is known of a plan's rows. */
enum
{
    ALL_ROWS = 1,               /* each will be asked for */
    CURRENT_ROW = 2             /* WHERE CURRENT OF may look below for the scan that gave the row */
};

/* ---- SstBatch above a node ------------------------------------------------------------------- */

static bool
is_batch(const Plan *plan)
{
    return IsA(plan, CustomScan) && ((const CustomScan *) plan)->methods == &sst_batch_methods;
}

/* Make *plan a node of ours above child, which gives rows like those of another. */
static void
set_plan(Rewrite *r, Plan *plan, const Plan *like, Plan *child)
{
    NodeTag     tag = plan->type;

    *plan = *like;
    plan->type = tag;
    plan->plan_node_id = --r->last_node_id;
    plan->parallel_aware = false;
    plan->initPlan = NIL;
    plan->lefttree = child;
    plan->righttree = NULL;
}

static Plan *
set_batch(Rewrite *r, CustomScan *batch, const Plan *like, Plan *child)
{
    set_plan(r, &batch->scan.plan, like, child);
    batch->scan.plan.parallel_aware = r->in_worker;     /* so that workers can tell what they have classified */
    batch->flags = ExecSupportsBackwardScan(child) ? CUSTOMPATH_SUPPORT_BACKWARD_SCAN : 0;
    batch->methods = &sst_batch_methods;
    return &batch->scan.plan;
}

/* The calls' columns of custom_scan_tlist, and custom_private: see batch.h. */
static void
set_calls(CustomScan *batch, Widening *w)
{
    ListCell   *lc;

    foreach(lc, w->calls)
    {
        FuncExpr   *call = copyObject(lfirst_node(FuncExpr, lc));

        batch->custom_private = lappend(batch->custom_private, makeString(pstrdup(sst_batch_function_of(call)->symbol)));
        call->args = (List *) sst_batch_widened((Node *) call->args, w);
        batch->custom_scan_tlist = sst_batch_append_column(batch->custom_scan_tlist, call);
    }
}

/*
 * Take from a node's cost that of a target list, which the planner has charged for each row given, and of quals, which it
 * has charged for each row read: so many that their cost and the row's own make up the node's.
 */
static void
lower_cost(Plan *plan, List *targetlist, List *qual)
{
    Cost        run = plan->total_cost - plan->startup_cost;
    QualCost    moved,
                kept;

    cost_qual_eval_node(&moved, (Node *) targetlist, NULL);
    run = Max(run - moved.per_tuple * plan->plan_rows, 0);
    if (qual != NIL)
    {
        double      rows;

        cost_qual_eval(&moved, qual, NULL);
        cost_qual_eval(&kept, plan->qual, NULL);
        rows = run / (moved.per_tuple + kept.per_tuple + cpu_tuple_cost);
        run -= rows * moved.per_tuple;
        if (plan->qual == NIL)
            plan->plan_rows = clamp_row_est(rows);
    }
    plan->total_cost = plan->startup_cost + run;
}

/* Is this a node that computes whatever target list it is given? */
static bool
projects(const Plan *plan)
{
    switch (nodeTag(plan))
    {
        case T_SeqScan: case T_SampleScan: case T_IndexScan: case T_IndexOnlyScan: case T_BitmapHeapScan: case T_TidScan:
#if PG_VERSION_NUM >= 140000
        case T_TidRangeScan:
#endif
        case T_SubqueryScan: case T_FunctionScan: case T_ValuesScan: case T_CteScan: case T_NamedTuplestoreScan:
        case T_WorkTableScan: case T_NestLoop: case T_MergeJoin: case T_HashJoin: case T_Group: case T_Gather: case T_GatherMerge:
            return !plan_is_async(plan);
        case T_WindowAgg:
            /* from PostgreSQL 15 on these are evaluated over the target list as it is */
            return plan->qual == NIL && windowagg_run_condition(plan) == NIL;
        case T_Agg:
            /* a partial aggregate's value need not be one that can be stored */
            return !DO_AGGSPLIT_SKIPFINAL(((const Agg *) plan)->aggsplit);
        case T_Result:
            return plan->lefttree != NULL;
        default:
            return is_batch(plan);
    }
}

/* Does a node nothing but project the row of its child? SstBatch does so in its place. */
static bool
only_projects(const Plan *plan)
{
    return IsA(plan, Result) && plan->lefttree && ((const Result *) plan)->resconstantqual == NULL && plan->initPlan == NIL;
}

/* SstBatch above plan, which keeps its first so many quals; or NULL if that cannot be. */
static Plan *
split(Rewrite *r, Plan *plan, int quals, List *calls)
{
    CustomScan *batch = makeNode(CustomScan);
    Plan        like = *plan;
    Widening    w = {.calls = calls, .fixed = only_projects(plan)};
    List       *qual = list_copy_tail(plan->qual, quals);
    List       *columns = NIL;
    ListCell   *lc;

    sst_batch_find_same_texts((Node *) qual, &w.calls);
    sst_batch_find_same_texts((Node *) plan->targetlist, &w.calls);
    like.qual = (List *) sst_batch_widened((Node *) qual, &w);
    like.targetlist = (List *) sst_batch_widened((Node *) plan->targetlist, &w);
    set_calls(batch, &w);
    foreach(lc, w.columns)
        columns = sst_batch_append_column(columns, lfirst(lc));
    if (w.fixed)
        columns = plan->lefttree->targetlist;
    if (list_length(w.calls) + list_length(columns) > MaxTupleAttributeNumber ||
        !sst_batch_may_evaluate(&r->statement, w.columns))
        return NULL;
    foreach(lc, sst_batch_columns_of(columns))
        batch->custom_scan_tlist = sst_batch_append_column(batch->custom_scan_tlist, lfirst_node(TargetEntry, lc)->expr);
    if (w.fixed)
        return set_batch(r, batch, &like, plan->lefttree);
    plan->qual = list_truncate(plan->qual, quals);
    lower_cost(plan, plan->targetlist, qual);
    plan->targetlist = columns;
    return set_batch(r, batch, &like, plan);
}

/* Does WHERE CURRENT OF look for one of many scans here? SstBatch cannot stand for them. */
static bool
has_many_scans(const Plan *plan)
{
    switch (nodeTag(plan))
    {
        case T_Append:
            return true;
        case T_SubqueryScan:
            return has_many_scans(((const SubqueryScan *) plan)->subplan);
        case T_Result: case T_Limit:
            return plan->lefttree && has_many_scans(plan->lefttree);
        default:
            return false;
    }
}

/* plan, with nodes above for the calls in its qual and its target list, each for those that are made at its turn. */
static Plan *
batch_above(Rewrite *r, Plan *plan, int rows)
{
    List       *calls = NIL;
    int         quals = 0;
    Plan       *batch = NULL;
    ListCell   *lc;

    if (!projects(plan))
        return plan;
    foreach(lc, plan->qual)
    {
        sst_batch_find_calls(lfirst(lc), &calls);
        if (calls != NIL)
            break;
        if (!sst_batch_may_evaluate(&r->statement, lfirst(lc)))
            return plan;
        quals++;
    }
    if (calls == NIL)
        sst_batch_find_calls((Node *) plan->targetlist, &calls);
    if (calls != NIL && sst_batch_may_read_input(&r->statement, plan, true) && !((rows & CURRENT_ROW) && has_many_scans(plan)))
        batch = split(r, plan, quals, calls);
    return batch ? batch_above(r, batch, rows) : plan;
}

/* ---- calls on their way down ----------------------------------------------------------------- */

static Plan *
make_projection(Rewrite *r, Plan *child)
{
    Plan       *plan = &makeNode(Result)->plan;

    set_plan(r, plan, child, child);
    plan->qual = NIL;
    plan->targetlist = sst_batch_columns_of(child->targetlist);
    return plan;
}

/* Has a node one row for each of its child, made of that? */
static bool
passes_rows_on(const Plan *plan)
{
    switch (nodeTag(plan))
    {
        case T_Sort: case T_IncrementalSort: case T_Material: case T_Gather: case T_GatherMerge:
            return true;
        default:
            return false;
    }
}

static bool
is_gather(const Plan *plan)
{
    return IsA(plan, Gather) || IsA(plan, GatherMerge);
}

/* Can a plan give this call over its columns as one more? If not all rows are asked for, it must classify the text anyway. */
static bool
can_take(const Rewrite *r, Plan *plan, Node *call, bool all_rows, bool in_worker)
{
    List       *calls = NIL;

    call = sst_batch_in_terms_of(call, plan);
    if (list_length(plan->targetlist) > MaxTupleAttributeNumber / 2 || !sst_batch_may_classify(call, in_worker))
        return false;
    if (passes_rows_on(plan))
        return can_take(r, plan->lefttree, call, all_rows, in_worker || is_gather(plan));
    sst_batch_find_calls((Node *) plan->qual, &calls);
    sst_batch_find_calls((Node *) plan->targetlist, &calls);
    if (!all_rows && !sst_batch_shares_text(calls, call))
        return false;
    return projects(plan) ? sst_batch_may_read_input(&r->statement, plan, true) : sst_batch_may_read(&r->statement, plan, true);
}

/* plan, which gives these calls over its columns as columns more. */
static Plan *
take(Rewrite *r, Plan *plan, List *calls)
{
    QualCost    cost;
    ListCell   *lc;

    if (!passes_rows_on(plan) && !projects(plan))
        plan = make_projection(r, plan);
    cost_qual_eval_node(&cost, (Node *) calls, NULL);
    plan->total_cost += cost.per_tuple * plan->plan_rows;
    if (IsA(plan, Sort))
        plan->startup_cost += cost.per_tuple * plan->plan_rows;
    calls = (List *) sst_batch_in_terms_of((Node *) calls, plan);
    if (passes_rows_on(plan))
    {
        Given       g = {calls, list_length(plan->lefttree->targetlist)};

        plan->lefttree = take(r, plan->lefttree, calls);
        calls = (List *) sst_batch_with_given((Node *) calls, &g);
    }
    foreach(lc, calls)
        plan->targetlist = sst_batch_append_column(plan->targetlist, lfirst(lc));
    return plan;
}

/*
 * Calls in the target list of a node that has a row for each of its child become columns of the child: where they can be
 * made in parallel workers, and where their texts are classified anyway.
 */
static void
give_calls_away(Rewrite *r, Plan *plan, int rows)
{
    Plan       *child = plan->lefttree;
    const bool  all_rows = (rows & ALL_ROWS) || !(passes_rows_on(child) || is_gather(plan));
    List       *calls = NIL;
    Given       g = {.columns = list_length(child->targetlist)};
    ListCell   *lc;

    if (!passes_rows_on(child) && !projects(child))
        return;
    sst_batch_find_calls((Node *) plan->targetlist, &calls);
    sst_batch_find_same_texts((Node *) plan->targetlist, &calls);
    foreach(lc, calls)
        if (!contain_window_function(lfirst(lc)) && can_take(r, child, lfirst(lc), all_rows, is_gather(plan)))
            g.calls = lappend(g.calls, lfirst(lc));
    if (g.calls == NIL)
        return;
    plan->lefttree = take(r, child, g.calls);
    plan->targetlist = (List *) sst_batch_with_given((Node *) plan->targetlist, &g);
}

/* Have what an aggregate's arguments call projected below it. */
static void
project_arguments(Rewrite *r, Plan *agg)
{
    Given       g = {sst_batch_find_argument_calls(agg), list_length(agg->lefttree->targetlist)};
    ListCell   *lc;

    if (g.calls == NIL || !sst_batch_may_read(&r->statement, agg->lefttree, true) ||
        g.columns + list_length(g.calls) > MaxTupleAttributeNumber / 2)
        return;
    agg->lefttree = make_projection(r, agg->lefttree);
    foreach(lc, g.calls)
        agg->lefttree->targetlist = sst_batch_append_column(agg->lefttree->targetlist, lfirst(lc));
    agg->targetlist = (List *) sst_batch_with_given_arguments((Node *) agg->targetlist, &g);
    agg->qual = (List *) sst_batch_with_given_arguments((Node *) agg->qual, &g);
}

/* ---- the plan -------------------------------------------------------------------------------- */

/*
 * Limit above SstBatch: the other way round, so that no row is classified that is not asked for and a Sort below is told
 * how many rows it must give. Not if a volatile function would then be evaluated less often.
 */
static Plan *
lower_limit(Rewrite *r, Limit *limit)
{
    CustomScan *batch = (CustomScan *) limit->plan.lefttree;
    Plan       *plan = &batch->scan.plan;
    Plan        like = limit->plan;

    if (!is_batch(plan) || plan->qual != NIL || limit->limitOption != LIMIT_OPTION_COUNT ||
        !sst_batch_may_evaluate(&r->statement, plan->targetlist))
        return &limit->plan;
    like.targetlist = plan->targetlist;
    limit->plan.lefttree = plan->lefttree;
    limit->plan.targetlist = sst_batch_columns_of(plan->lefttree->targetlist);
    lower_cost(&limit->plan, batch->custom_scan_tlist, NIL);
    return set_batch(r, batch, &like, lower_limit(r, limit));
}

static Plan *rewrite(Rewrite *r, Plan *plan, int rows);

static void
rewrite_list(Rewrite *r, List *plans, int rows)
{
    ListCell   *lc;

    foreach(lc, plans)
        lfirst(lc) = rewrite(r, lfirst(lc), rows);
}

/* What is known of the rows of a node's child, if that is known of its own. */
static int
rows_below(const Plan *plan, int rows)
{
    if (sst_batch_reads_all_first(plan) || IsA(plan, ModifyTable))
        return ALL_ROWS;
    switch (nodeTag(plan))
    {
        case T_Result: case T_SubqueryScan: case T_Append:
            return rows;
        case T_Limit:
            return rows & CURRENT_ROW;
        case T_Gather: case T_GatherMerge: case T_IncrementalSort: case T_Material: case T_WindowAgg: case T_Agg: case T_Group:
        case T_Unique: case T_MergeAppend: case T_HashJoin: case T_ProjectSet: case T_LockRows:
            return rows & ALL_ROWS;
        default:
            return 0;
    }
}

static void
rewrite_inputs(Rewrite *r, Plan *plan, int rows)
{
    const bool  in_worker = r->in_worker;

    r->in_worker |= is_gather(plan);
    plan->lefttree = rewrite(r, plan->lefttree, rows);
    r->in_worker = in_worker;
    /* the inner side of a merge join may have to go back to a mark, which Sort and Material can always do */
    if (plan->righttree && (!IsA(plan, MergeJoin) || IsA(plan->righttree, Sort) || IsA(plan->righttree, Material)))
        plan->righttree = rewrite(r, plan->righttree, 0);
    if (IsA(plan, Append))
        rewrite_list(r, ((Append *) plan)->appendplans, rows);
    else if (IsA(plan, MergeAppend))
        rewrite_list(r, ((MergeAppend *) plan)->mergeplans, rows);
    else if (IsA(plan, SubqueryScan))
        ((SubqueryScan *) plan)->subplan = rewrite(r, ((SubqueryScan *) plan)->subplan, rows);
#if PG_VERSION_NUM < 140000
    else if (IsA(plan, ModifyTable))
        rewrite_list(r, ((ModifyTable *) plan)->plans, rows);
#endif
}

static Plan *
rewrite(Rewrite *r, Plan *plan, int rows)
{
    /* what others have planned is theirs */
    if (plan == NULL || IsA(plan, CustomScan) || IsA(plan, ForeignScan))
        return plan;
    check_stack_depth();
    if (IsA(plan, Agg))
        project_arguments(r, plan);
    else if (is_gather(plan) || ((IsA(plan, Result) || IsA(plan, WindowAgg)) && projects(plan)))
        give_calls_away(r, plan, rows);
    rewrite_inputs(r, plan, rows_below(plan, rows));
    /* a projection of ours that has given all its calls away */
    if (IsA(plan, Result) && plan->plan_node_id < 0 && !sst_batch_contains_call((Node *) plan->targetlist, NULL))
        return plan->lefttree;
    return IsA(plan, Limit) ? lower_limit(r, (Limit *) plan) : batch_above(r, plan, rows);
}

static PlannedStmt *
batch_planner(Query *parse, const char *query_string, int cursor_options, ParamListInfo params)
{
    planner_hook_type planner = previous_planner ? previous_planner : standard_planner;
    PlannedStmt *stmt = planner(parse, query_string, cursor_options, params);
    Rewrite     r = {.in_worker = false};

    if (sst_batch_size > 1 && sst_batch_statement(&r.statement, stmt))
    {
        const bool  cursor = (cursor_options & CURSOR_OPT_FAST_PLAN) != 0;

        stmt->planTree = rewrite(&r, stmt->planTree, CURRENT_ROW | (cursor ? 0 : ALL_ROWS));
        rewrite_list(&r, stmt->subplans, 0);
    }
    return stmt;
}

void
sst_batch_define_settings(void)
{
    DefineCustomIntVariable("distilsst.batch_size", "Most rows whose texts share one forward pass.",
                            "1 leaves plans as they are. Results do not depend on it.",
                            &sst_batch_size, 32, 1, 512, PGC_USERSET, 0, NULL, NULL, NULL);
}

void
sst_batch_init(void)
{
    RegisterCustomScanMethods(&sst_batch_methods);
    previous_planner = planner_hook;
    planner_hook = batch_planner;
    /* a session may have planned statements before its first call loaded the library */
    ResetPlanCache();
}
