/*
 * plan.c - where plans get the node SstBatch.
 *
 * The planner's finished plan is walked, and a node is put
 *
 *   - above one whose target list has calls of our functions: the child gives the columns that it is made of;
 *   - above one whose qual has such calls: with the quals from the first of these on, never single ones, for their order
 *     carries cost and security level;
 *   - below an Agg whose aggregates' arguments or filters have such calls.
 *
 * A call is moved only if the plan as it was would surely have made it for each row: not from within CASE, AND or COALESCE,
 * unless the same text is classified for each row anyway. Nothing but columns and the calls' arguments moves: volatile
 * functions are still evaluated once for each row that is given out. In doubt the plan stays as it was.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/planner.h"
#include "optimizer/tlist.h"
#include "utils/guc.h"

#include "batch.h"
#include "../compat.h"

int         sst_batch_size;

extern Datum sst2_label(PG_FUNCTION_ARGS);
extern Datum sst2_score(PG_FUNCTION_ARGS);
extern Datum sst2_logits(PG_FUNCTION_ARGS);
extern Datum sst2_classify(PG_FUNCTION_ARGS);

static const BatchFunction known_functions[] = {
    {sst2_label, sst_answer_label},
    {sst2_score, sst_answer_score},
    {sst2_logits, sst_answer_logits},
    {sst2_classify, sst_answer_row},
    {NULL, NULL}
};
static planner_hook_type previous_planner;

/* The plan at hand. */
static struct
{
    int         last_node_id;   /* the planner's own ids are not negative, ours are */
    bool        in_worker;      /* below Gather */
}           rewriting;

/* What becomes of expressions: the calls and columns of the widened row, in its order. */
typedef struct widening
{
    List       *calls;          /* FuncExprs, as they were */
    List       *columns;        /* of the child: expressions, as they were */
    bool        fixed;          /* the child's columns stay; expressions refer to them by OUTER_VAR */
} widening;

/* ---- calls ----------------------------------------------------------------------------------- */

/*
 * By the C symbol: so a function is known in any schema, by any name, and is not if it has been declared with SET or
 * SECURITY DEFINER, for then another address is called.
 */
const BatchFunction *
batch_function(Oid oid)
{
    FmgrInfo    info;

    fmgr_info(oid, &info);
    for (const BatchFunction *f = known_functions; f->address; f++)
        if (f->address == info.fn_addr)
            return f;
    return NULL;
}

static bool
is_call(Node *node)
{
    FuncExpr   *call = (FuncExpr *) node;

    return IsA(node, FuncExpr) && call->funcid >= FirstNormalObjectId && list_length(call->args) == 1 &&
        exprType(linitial(call->args)) == TEXTOID && batch_function(call->funcid);
}

static Node *
text_of(Node *call)
{
    return linitial(((FuncExpr *) call)->args);
}

/* What only the child can evaluate. */
static bool
is_column(Node *node)
{
    return IsA(node, Var) || IsA(node, Aggref) || IsA(node, GroupingFunc) || IsA(node, WindowFunc);
}

static bool
contains_call(Node *node, void *context)
{
    if (node == NULL || is_column(node))
        return false;
    return is_call(node) || expression_tree_walker(node, contains_call, context);
}

/* A call within another's argument has its turn first. Reading ahead must not show in what a text is made by. */
static bool
is_batchable(Node *node)
{
    return is_call(node) && !contains_call(text_of(node), NULL) &&
        !contain_volatile_functions(text_of(node)) && !contain_subplans(text_of(node));
}

/* Add to *calls those that are made whenever node is evaluated. */
static bool
find_calls(Node *node, List **calls)
{
    if (node == NULL || is_column(node))
        return false;
    switch (nodeTag(node))
    {
        case T_FuncExpr:
            if (!is_batchable(node))
                break;
            *calls = list_append_unique(*calls, node);
            return false;
        case T_List:
        case T_TargetEntry:
        case T_OpExpr:
        case T_DistinctExpr:
        case T_NullIfExpr:
        case T_ScalarArrayOpExpr:
        case T_FieldSelect:
        case T_RelabelType:
        case T_CoerceViaIO:
        case T_CoerceToDomain:
        case T_ConvertRowtypeExpr:
        case T_ArrayExpr:
        case T_RowExpr:
        case T_MinMaxExpr:
        case T_NullTest:
        case T_BooleanTest:
            break;
            /* of these the first operand only: */
        case T_BoolExpr:
            return find_calls(linitial(((BoolExpr *) node)->args), calls);
        case T_CoalesceExpr:
            return find_calls(linitial(((CoalesceExpr *) node)->args), calls);
        case T_CaseExpr:
            find_calls((Node *) ((CaseExpr *) node)->arg, calls);
            return find_calls((Node *) linitial_node(CaseWhen, ((CaseExpr *) node)->args)->expr, calls);
        case T_SubscriptingRef:
            return find_calls((Node *) ((SubscriptingRef *) node)->refexpr, calls);
        case T_ArrayCoerceExpr:
            return find_calls((Node *) ((ArrayCoerceExpr *) node)->arg, calls);
        default:
            return false;
    }
    return expression_tree_walker(node, find_calls, calls);
}

/* Add to *calls those of the same texts, wherever they stand: they cost no forward pass more. */
static bool
find_same_texts(Node *node, List **calls)
{
    ListCell   *lc;

    if (node == NULL || is_column(node))
        return false;
    if (is_call(node))
        foreach(lc, *calls)
            if (equal(text_of(lfirst(lc)), text_of(node)))
            {
                *calls = list_append_unique(*calls, node);
                return false;
            }
    return expression_tree_walker(node, find_same_texts, calls);
}

/* ---- the widened row ------------------------------------------------------------------------- */

/* The position of an expression in a list, from 1; 0: none. */
static int
position(List *list, Node *node)
{
    ListCell   *lc;

    foreach(lc, list)
        if (equal(lfirst(lc), node))
            return foreach_current_index(lc) + 1;
    return 0;
}

int
batch_position(List **list, Node *node)
{
    int         known = position(*list, node);

    if (known)
        return known;
    *list = lappend(*list, node);
    return list_length(*list);
}

static Var *
var_like(Node *node, int varno, int column)
{
    return makeVar(varno, column, exprType(node), exprTypmod(node), exprCollation(node), 0);
}

static int
child_column(Node *node, widening *w)
{
    return w->fixed ? ((Var *) node)->varattno : batch_position(&w->columns, node);
}

/* A row with one column more. */
static List *
append_column(List *row, void *expr)
{
    return lappend(row, makeTargetEntry(expr, list_length(row) + 1, NULL, false));
}

/* An expression in terms of the widened row. */
static Node *
widened(Node *node, widening *w)
{
    int         call;

    if (node == NULL)
        return NULL;
    call = position(w->calls, node);
    if (call)
        return (Node *) var_like(node, INDEX_VAR, call);
    if (is_column(node))
        return (Node *) var_like(node, INDEX_VAR, list_length(w->calls) + child_column(node, w));
    return expression_tree_mutator(node, widened, w);
}

/* custom_scan_tlist: see batch.h. */
static List *
widened_row(widening *w)
{
    List       *row = NIL;
    ListCell   *lc;

    foreach(lc, w->calls)
    {
        FuncExpr   *call = copyObject(lfirst_node(FuncExpr, lc));

        call->args = list_make1(widened(linitial(call->args), w));
        row = append_column(row, call);
    }
    foreach(lc, w->columns)
        row = append_column(row, var_like(lfirst(lc), OUTER_VAR, foreach_current_index(lc) + 1));
    return row;
}

/* SstBatch above child, to be executed in place of a node like this. */
static Plan *
make_batch(Plan *like, Plan *child, List *row, List *targetlist, List *qual)
{
    CustomScan *batch = makeNode(CustomScan);

    batch->scan.plan = *like;
    batch->scan.plan.type = T_CustomScan;
    batch->scan.plan.plan_node_id = --rewriting.last_node_id;
    /* so that workers can tell what they have classified */
    batch->scan.plan.parallel_aware = rewriting.in_worker;
    batch->scan.plan.initPlan = NIL;
    batch->scan.plan.lefttree = child;
    batch->scan.plan.righttree = NULL;
    batch->scan.plan.targetlist = targetlist;
    batch->scan.plan.qual = qual;
    batch->custom_scan_tlist = row;
    batch->methods = &batch_scan_methods;
    return &batch->scan.plan;
}

static bool
is_batch(Plan *plan)
{
    return IsA(plan, CustomScan) && ((CustomScan *) plan)->methods == &batch_scan_methods;
}

/* ---- above a node ---------------------------------------------------------------------------- */

/* Is this a node that computes whatever target list it is given? */
static bool
projects(Plan *plan)
{
    switch (nodeTag(plan))
    {
        case T_SeqScan:
        case T_SampleScan:
        case T_IndexScan:
        case T_IndexOnlyScan:
        case T_BitmapHeapScan:
        case T_TidScan:
#if PG_VERSION_NUM >= 140000
        case T_TidRangeScan:
#endif
        case T_SubqueryScan:
        case T_FunctionScan:
        case T_ValuesScan:
        case T_TableFuncScan:
        case T_CteScan:
        case T_NamedTuplestoreScan:
        case T_WorkTableScan:
        case T_NestLoop:
        case T_MergeJoin:
        case T_HashJoin:
        case T_Group:
            return !plan_is_async(plan);
        case T_WindowAgg:
            /* from PostgreSQL 15 on these are evaluated over the target list as it is */
            return plan->qual == NIL && windowagg_run_condition(plan) == NIL;
        case T_Agg:
            /* a partial aggregate's value need not be one that can be stored */
            return !DO_AGGSPLIT_SKIPFINAL(((Agg *) plan)->aggsplit);
        case T_Result:
            return plan->lefttree != NULL;
        default:
            return is_batch(plan);
    }
}

/* plan keeps its first so many quals; the others and the target list move into a node above. */
static Plan *
split(Plan *plan, int quals, List *calls)
{
    widening    w = {.calls = calls};
    List       *targetlist,
               *qual,
               *row,
               *columns = NIL;
    ListCell   *lc;

    qual = list_copy_tail(plan->qual, quals);
    find_same_texts((Node *) qual, &w.calls);
    find_same_texts((Node *) plan->targetlist, &w.calls);
    qual = (List *) widened((Node *) qual, &w);
    targetlist = (List *) widened((Node *) plan->targetlist, &w);
    row = widened_row(&w);
    if (list_length(row) > MaxTupleAttributeNumber)
        return plan;
    plan->qual = list_truncate(plan->qual, quals);
    foreach(lc, w.columns)
        columns = append_column(columns, lfirst(lc));
    plan->targetlist = columns;
    return make_batch(plan, plan, row, targetlist, qual);
}

/* plan, with nodes above for the calls in its qual and its target list, each for those that are made at its turn. */
static Plan *
batch_above(Plan *plan)
{
    List       *calls = NIL;
    int         quals = 0;
    Plan       *batch;
    ListCell   *lc;

    if (!projects(plan))
        return plan;
    foreach(lc, plan->qual)
    {
        find_calls(lfirst(lc), &calls);
        if (calls != NIL)
            break;
        /* reading ahead would evaluate it more often */
        if (contain_volatile_functions(lfirst(lc)))
            return plan;
        quals++;
    }
    if (calls == NIL)
        find_calls((Node *) plan->targetlist, &calls);
    if (calls == NIL)
        return plan;
    batch = split(plan, quals, calls);
    return batch == plan ? plan : batch_above(batch);
}

/* ---- below an aggregate ---------------------------------------------------------------------- */

/* Add to *calls those that an aggregate makes for each of its input rows. */
static bool
find_argument_calls(Node *node, List **calls)
{
    if (node == NULL)
        return false;
    if (IsA(node, Aggref))
    {
        Aggref     *agg = (Aggref *) node;

        return find_calls(agg->aggfilter ? (Node *) agg->aggfilter : (Node *) agg->args, calls);
    }
    return expression_tree_walker(node, find_argument_calls, calls);
}

static bool
find_same_argument_texts(Node *node, List **calls)
{
    if (node == NULL)
        return false;
    if (IsA(node, Aggref))
    {
        find_same_texts((Node *) ((Aggref *) node)->aggfilter, calls);
        return find_same_texts((Node *) ((Aggref *) node)->args, calls);
    }
    return expression_tree_walker(node, find_same_argument_texts, calls);
}

/* An expression with its calls replaced by the columns of an OUTER_VAR that follow those of the child. */
static Node *
with_outer_calls(Node *node, widening *w)
{
    int         call = node ? position(w->calls, node) : 0;

    if (call)
        return (Node *) var_like(node, OUTER_VAR, list_length(w->columns) + call);
    if (node && IsA(node, Var))
        return node;
    return expression_tree_mutator(node, with_outer_calls, w);
}

static Node *
with_outer_arguments(Node *node, widening *w)
{
    if (node && IsA(node, Aggref))
    {
        Aggref     *agg = (Aggref *) copyObject(node);

        agg->args = (List *) with_outer_calls((Node *) agg->args, w);
        agg->aggfilter = (Expr *) with_outer_calls((Node *) agg->aggfilter, w);
        return (Node *) agg;
    }
    return expression_tree_mutator(node, with_outer_arguments, w);
}

/* The target list of a node that gives its child's columns, then its calls. */
static List *
child_then_calls(Plan *child, widening *w)
{
    List       *targetlist = NIL;
    ListCell   *lc;

    foreach(lc, child->targetlist)
    {
        TargetEntry *entry = flatCopyTargetEntry(lfirst(lc));

        entry->expr = (Expr *) var_like((Node *) entry->expr, INDEX_VAR, list_length(w->calls) + entry->resno);
        targetlist = lappend(targetlist, entry);
    }
    foreach(lc, w->calls)
        targetlist = append_column(targetlist, var_like(lfirst(lc), INDEX_VAR, foreach_current_index(lc) + 1));
    return targetlist;
}

static void
batch_below(Plan *agg)
{
    Plan       *child = agg->lefttree;
    widening    w = {.fixed = true};
    ListCell   *lc;

    find_argument_calls((Node *) agg->targetlist, &w.calls);
    find_argument_calls((Node *) agg->qual, &w.calls);
    if (w.calls == NIL)
        return;
    find_same_argument_texts((Node *) agg->targetlist, &w.calls);
    find_same_argument_texts((Node *) agg->qual, &w.calls);
    foreach(lc, child->targetlist)
        w.columns = lappend(w.columns, lfirst_node(TargetEntry, lc)->expr);
    if (list_length(w.columns) + list_length(w.calls) > MaxTupleAttributeNumber)
        return;
    agg->lefttree = make_batch(child, child, widened_row(&w), child_then_calls(child, &w), NIL);
    agg->targetlist = (List *) with_outer_arguments((Node *) agg->targetlist, &w);
    agg->qual = (List *) with_outer_arguments((Node *) agg->qual, &w);
}

/* ---- the plan -------------------------------------------------------------------------------- */

/*
 * Limit above SstBatch: the other way round, so that no row is classified that is not asked for and a Sort below is told
 * how many rows it must give. Not if a volatile function would then be evaluated less often.
 */
static Plan *
lower_limit(Limit *limit)
{
    Plan       *batch = limit->plan.lefttree;
    Plan       *child = batch->lefttree;
    List       *columns = NIL;
    ListCell   *lc;

    if (!is_batch(batch) || batch->qual != NIL || contain_volatile_functions((Node *) batch->targetlist))
        return &limit->plan;
    if (limit->limitOption != LIMIT_OPTION_COUNT)
        return &limit->plan;
    foreach(lc, child->targetlist)
        columns = append_column(columns, var_like((Node *) lfirst_node(TargetEntry, lc)->expr, OUTER_VAR,
                                                  foreach_current_index(lc) + 1));
    limit->plan.targetlist = columns;
    limit->plan.lefttree = child;
    return make_batch(&limit->plan, lower_limit(limit), ((CustomScan *) batch)->custom_scan_tlist, batch->targetlist, NIL);
}

static Plan *rewrite(Plan *plan);

static void
rewrite_list(List *plans)
{
    ListCell   *lc;

    foreach(lc, plans)
        lfirst(lc) = rewrite(lfirst(lc));
}

static Plan *
rewrite(Plan *plan)
{
    /* what others have planned is theirs */
    if (plan == NULL || IsA(plan, CustomScan) || IsA(plan, ForeignScan))
        return plan;
    check_stack_depth();
    if (IsA(plan, Gather) || IsA(plan, GatherMerge))
    {
        rewriting.in_worker = true;
        plan->lefttree = rewrite(plan->lefttree);
        rewriting.in_worker = false;
        return plan;
    }
    plan->lefttree = rewrite(plan->lefttree);
    /* the inner side of a merge join may have to go back to a mark, which Sort and Material can always do */
    if (plan->righttree && (!IsA(plan, MergeJoin) || IsA(plan->righttree, Sort) || IsA(plan->righttree, Material)))
        plan->righttree = rewrite(plan->righttree);
    switch (nodeTag(plan))
    {
        case T_Append:
            rewrite_list(((Append *) plan)->appendplans);
            break;
        case T_MergeAppend:
            rewrite_list(((MergeAppend *) plan)->mergeplans);
            break;
#if PG_VERSION_NUM < 140000
        case T_ModifyTable:
            rewrite_list(((ModifyTable *) plan)->plans);
            break;
#endif
        case T_SubqueryScan:
            ((SubqueryScan *) plan)->subplan = rewrite(((SubqueryScan *) plan)->subplan);
            break;
        case T_Agg:
            batch_below(plan);
            break;
        case T_Limit:
            return lower_limit((Limit *) plan);
        default:
            break;
    }
    return batch_above(plan);
}

/*
 * A cursor that might be used for UPDATE ... WHERE CURRENT OF, or to go back, keeps its plan: both need the scan itself.
 * INSENSITIVE says that the first will not be done, and FOR UPDATE finds the row by other means.
 */
static bool
keeps_its_plan(const PlannedStmt *stmt, int cursor_options)
{
    if (cursor_options & CURSOR_OPT_SCROLL)
        return true;
    return (cursor_options & CURSOR_OPT_FAST_PLAN) && !(cursor_options & CURSOR_OPT_INSENSITIVE) && stmt->rowMarks == NIL;
}

static PlannedStmt *
batch_planner(Query *parse, const char *query_string, int cursor_options, ParamListInfo params)
{
    planner_hook_type planner = previous_planner ? previous_planner : standard_planner;
    PlannedStmt *stmt = planner(parse, query_string, cursor_options, params);

    if (sst_batch_size > 1 && !keeps_its_plan(stmt, cursor_options))
    {
        rewriting.last_node_id = 0;
        rewriting.in_worker = false;
        stmt->planTree = rewrite(stmt->planTree);
        rewrite_list(stmt->subplans);
    }
    return stmt;
}

void
batch_define_settings(void)
{
    DefineCustomIntVariable("distilsst.batch_size",
                            "Most rows whose texts share one forward pass.",
                            "1 leaves plans as they are. Results do not depend on it.",
                            &sst_batch_size,
                            32, 1, 512,
                            PGC_USERSET,
                            0,
                            NULL, NULL, NULL);
}

void
batch_init(void)
{
    RegisterCustomScanMethods(&batch_scan_methods);
    previous_planner = planner_hook;
    planner_hook = batch_planner;
}
