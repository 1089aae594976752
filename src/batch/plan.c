/*
 * plan.c - puts the node SstBatch into plans.
 *
 * We walk the planner's finished plan and put SstBatch above each node whose target list or qual has calls. SstBatch takes over
 *
 *   - the target list: the node below computes only the columns that this is made of;
 *   - the quals from the first one with a call on: never a single qual, since their order carries cost and security level.
 *
 * Before that, calls move down to where their texts are: those that an Agg makes for each input row go into a projection
 * below it; those in a projection above Sort or Gather go below these, as further columns.
 *
 * A call moves only if the original plan makes it for every row: not from within CASE, AND or COALESCE, unless the same text is
 * classified for every row anyway. Only columns and the calls' arguments are evaluated ahead. All else in a target list or qual
 * is still evaluated when its row is returned. safe.c decides what may be read ahead.
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

/* The rewriting of a statement's plans. */
typedef struct Rewrite
{
    BatchStatement statement;
    int         last_node_id;   /* ours are negative, the planner's are not */
    bool        in_worker;      /* below Gather */
} Rewrite;

/* What is known of a plan's rows. */
enum
{
    ALL_ROWS = 1,               /* somebody will ask for each */
    CURRENT_ROW = 2             /* WHERE CURRENT OF may look below for the scan that returned the row */
};

/* ---- SstBatch above a node ------------------------------------------------------------------- */

static bool
is_batch(const Plan *plan)
{
    return IsA(plan, CustomScan) && ((const CustomScan *) plan)->methods == &sst_batch_methods;
}

/* Make *plan a node of ours above child, with target list, qual and costs like another's. */
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
    List       *calls = copyObject(w->calls);
    ListCell   *lc;

    foreach(lc, calls)
    {
        FuncExpr   *call = lfirst_node(FuncExpr, lc);

        batch->custom_private = lappend(batch->custom_private, makeString(pstrdup(sst_batch_function_of(call)->symbol)));
        call->args = (List *) sst_batch_widened((Node *) call->args, w);
    }
    batch->custom_scan_tlist = sst_batch_append_columns(NIL, calls);
}

/*
 * Take the cost of a target list and of quals off a node. The planner has charged the target list for each row returned, and the
 * quals for each row read. How many rows that were is not in the plan: we take as many as make up the node's cost.
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

/* Does this node compute any target list that it is given? */
static bool
can_project(const Plan *plan)
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
            /* since PostgreSQL 15 these are evaluated over the target list */
            return plan->qual == NIL && windowagg_run_condition(plan) == NIL;
        case T_Agg:
            /* a row may be unable to hold a partial aggregate's value */
            return !DO_AGGSPLIT_SKIPFINAL(((const Agg *) plan)->aggsplit);
        case T_Result:
            return plan->lefttree != NULL;
        default:
            return is_batch(plan);
    }
}

/* Does a node only project its child's rows? Then SstBatch replaces it. */
static bool
only_projects(const Plan *plan)
{
    return IsA(plan, Result) && plan->lefttree && ((const Result *) plan)->resconstantqual == NULL && plan->initPlan == NIL;
}

/* SstBatch above plan, which keeps its first quals (a number); or NULL if that cannot be. */
static Plan *
add_batch(Rewrite *r, Plan *plan, int quals, List *calls)
{
    CustomScan *batch = makeNode(CustomScan);
    Plan        like = *plan;
    Widening    w = {.calls = calls, .fixed = only_projects(plan)};
    List       *qual = list_copy_tail(plan->qual, quals);
    List       *columns;

    sst_batch_find_same_texts((Node *) qual, &w.calls);
    sst_batch_find_same_texts((Node *) plan->targetlist, &w.calls);
    like.qual = (List *) sst_batch_widened((Node *) qual, &w);
    like.targetlist = (List *) sst_batch_widened((Node *) plan->targetlist, &w);
    set_calls(batch, &w);
    columns = w.fixed ? plan->lefttree->targetlist : sst_batch_append_columns(NIL, w.columns);
    if (list_length(w.calls) + list_length(columns) > MaxTupleAttributeNumber ||
        !sst_batch_may_evaluate(&r->statement, w.columns))
        return NULL;
    batch->custom_scan_tlist = sst_batch_append_columns(batch->custom_scan_tlist,
                                                        get_tlist_exprs(sst_batch_columns_of(columns), true));
    if (w.fixed)
        return set_batch(r, batch, &like, plan->lefttree);
    plan->qual = list_truncate(plan->qual, quals);
    lower_cost(plan, plan->targetlist, qual);
    plan->targetlist = columns;
    return set_batch(r, batch, &like, plan);
}

/* Would WHERE CURRENT OF have to choose between many scans here? SstBatch can show one only. */
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

/* plan, with nodes SstBatch above: for the calls in its quals one each as their turn comes, and one for its target list. */
static Plan *
batch_above(Rewrite *r, Plan *plan, int rows)
{
    List       *calls = NIL;
    int         quals = 0;
    Plan       *batch = NULL;
    ListCell   *lc;

    if (!can_project(plan))
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
        batch = add_batch(r, plan, quals, calls);
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

/* Does a node return one row for each row of its child, made of that row? */
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

/* Can a plan return this call over its columns as one more? Unless it is asked for all rows, it must classify the text anyway. */
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
    if (can_project(plan))
        return sst_batch_may_read_input(&r->statement, plan, true);
    return sst_batch_may_read(&r->statement, plan, true);
}

/* plan, with these calls over its columns as further columns. */
static Plan *
take(Rewrite *r, Plan *plan, List *calls)
{
    QualCost    cost;

    if (!passes_rows_on(plan) && !can_project(plan))
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
    plan->targetlist = sst_batch_append_columns(plan->targetlist, calls);
    return plan;
}

/*
 * Calls in the target list of a node that returns one row per row of its child become columns of the child, if parallel workers
 * can make them there, or if their texts are classified there anyway.
 */
static void
give_calls_away(Rewrite *r, Plan *plan, int rows)
{
    Plan       *child = plan->lefttree;
    const bool  all_rows = (rows & ALL_ROWS) || !(passes_rows_on(child) || is_gather(plan));
    List       *calls = NIL;
    Given       g = {.columns = list_length(child->targetlist)};
    ListCell   *lc;

    if (!passes_rows_on(child) && !can_project(child))
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

/* The calls in an Agg's arguments become columns of a projection below it. */
static void
project_arguments(Rewrite *r, Plan *agg)
{
    Given       g = {sst_batch_find_argument_calls(agg), list_length(agg->lefttree->targetlist)};

    if (g.calls == NIL || !sst_batch_may_read(&r->statement, agg->lefttree, true) ||
        g.columns + list_length(g.calls) > MaxTupleAttributeNumber / 2)
        return;
    agg->lefttree = make_projection(r, agg->lefttree);
    agg->lefttree->targetlist = sst_batch_append_columns(agg->lefttree->targetlist, g.calls);
    agg->targetlist = (List *) sst_batch_with_given_arguments((Node *) agg->targetlist, &g);
    agg->qual = (List *) sst_batch_with_given_arguments((Node *) agg->qual, &g);
}

/* ---- the plan -------------------------------------------------------------------------------- */

/*
 * Swap a Limit and the SstBatch below it: then no row is classified that is not asked for, and a Sort below knows how many rows
 * it must return. Not if a volatile function would be evaluated less often then.
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

/* What is known of the rows of a node's child, given what is known of the node's own. */
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
    /* a merge join's inner side may have to go back to a mark; Sort and Material always can */
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
    /* other extensions look after their own nodes */
    if (plan == NULL || IsA(plan, CustomScan) || IsA(plan, ForeignScan))
        return plan;
    check_stack_depth();
    if (IsA(plan, Agg))
        project_arguments(r, plan);
    else if (is_gather(plan) || ((IsA(plan, Result) || IsA(plan, WindowAgg)) && can_project(plan)))
        give_calls_away(r, plan, rows);
    rewrite_inputs(r, plan, rows_below(plan, rows));
    /* a projection of ours whose calls have all moved down */
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
