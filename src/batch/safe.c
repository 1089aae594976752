/*
 * safe.c - may rows be read ahead?
 *
 * SstBatch reads rows that nobody has asked for yet, and under a LIMIT, a cursor or an EXISTS some that nobody ever will. That
 * must not show. So this file lists what may be evaluated for a row read ahead, by kind of statement, plan node and
 * expression: kinds that take no lock, wait for nobody and come to an end, and functions that are immutable or stable. All
 * else is left alone.
 *
 * What ends before SstBatch returns its first row may do anything: it runs the same with SstBatch and without.
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "batch.h"
#include "../compat.h"

/* ---- expressions ----------------------------------------------------------------------------- */

/* Where an expression would be evaluated. */
typedef struct Place
{
    bool        subplans;       /* SubPlans may run, and executor parameters have their values */
    bool        in_worker;
} Place;

static bool
is_forbidden_function(Oid oid, void *place)
{
    return func_volatile(oid) == PROVOLATILE_VOLATILE ||
        (((Place *) place)->in_worker && func_parallel(oid) != PROPARALLEL_SAFE);
}

/* CoerceToDomain is not among them: a domain's constraints may be volatile. */
static bool
is_known_kind(Node *node, const Place *place)
{
    switch (nodeTag(node))
    {
        case T_List: case T_TargetEntry: case T_RangeTblFunction: case T_TableSampleClause:
        case T_Var: case T_Const: case T_CaseTestExpr: case T_SQLValueFunction:
        case T_FuncExpr: case T_OpExpr: case T_DistinctExpr: case T_NullIfExpr: case T_ScalarArrayOpExpr: case T_RowCompareExpr:
        case T_BoolExpr: case T_CaseExpr: case T_CaseWhen: case T_CoalesceExpr: case T_MinMaxExpr: case T_NullTest:
        case T_BooleanTest: case T_RelabelType: case T_CoerceViaIO: case T_ArrayCoerceExpr: case T_ConvertRowtypeExpr:
        case T_CollateExpr: case T_ArrayExpr: case T_RowExpr: case T_FieldSelect: case T_SubscriptingRef: case T_GroupingFunc:
            return true;
        case T_SubPlan:
            return place->subplans;
        case T_Param:
            return ((Param *) node)->paramkind == PARAM_EXTERN || (((Param *) node)->paramkind == PARAM_EXEC && place->subplans);
            /* others may make aggregates of volatile functions */
        case T_Aggref:
            return ((Aggref *) node)->aggfnoid < FirstNormalObjectId;
        case T_WindowFunc:
            return ((WindowFunc *) node)->winfnoid < FirstNormalObjectId;
        default:
            return false;
    }
}

static bool
is_forbidden(Node *node, void *place)
{
    if (node == NULL)
        return false;
    if (!is_known_kind(node, place) || check_functions_in_node(node, is_forbidden_function, place))
        return true;
    return expression_tree_walker(node, is_forbidden, place);
}

bool
sst_batch_may_evaluate(const BatchStatement *s, const void *expressions)
{
    Place       place = {.subplans = s->subplans_ahead};

    return !is_forbidden((Node *) expressions, &place);
}

bool
sst_batch_may_classify(const void *arguments, bool in_worker)
{
    Place       place = {.in_worker = in_worker};

    return !is_forbidden((Node *) arguments, &place);
}

/* ---- plan nodes ------------------------------------------------------------------------------ */

/* A sequence can be scanned too, but no snapshot keeps its row from changing. */
static bool
scans_table(const BatchStatement *s, const Plan *plan)
{
    char        kind = rt_fetch(((Scan *) plan)->scanrelid, s->stmt->rtable)->relkind;

    return kind == RELKIND_RELATION || kind == RELKIND_MATVIEW;
}

#define MAY(kind, field) sst_batch_may_evaluate(s, ((const kind *) plan)->field)

/* A scan, judged by its expressions other than target list and qual. */
static bool
may_scan(const BatchStatement *s, const Plan *plan)
{
    switch (nodeTag(plan))
    {
        case T_SeqScan:
            return scans_table(s, plan);
        case T_SampleScan:
            return scans_table(s, plan) && MAY(SampleScan, tablesample) &&
                ((SampleScan *) plan)->tablesample->tsmhandler < FirstNormalObjectId;
        case T_IndexScan:
            return MAY(IndexScan, indexqual) && MAY(IndexScan, indexorderby);
        case T_IndexOnlyScan:
            return MAY(IndexOnlyScan, indexqual) && MAY(IndexOnlyScan, indexorderby);
        case T_BitmapIndexScan:
            return MAY(BitmapIndexScan, indexqual);
        case T_BitmapHeapScan:
            return MAY(BitmapHeapScan, bitmapqualorig);
        case T_TidScan:
            return MAY(TidScan, tidquals);
#if PG_VERSION_NUM >= 140000
        case T_TidRangeScan:
            return MAY(TidRangeScan, tidrangequals);
#endif
        case T_FunctionScan:
            return MAY(FunctionScan, functions);
        case T_ValuesScan:
            return MAY(ValuesScan, values_lists);
        case T_CustomScan:
            return ((CustomScan *) plan)->methods == &sst_batch_methods && MAY(CustomScan, custom_scan_tlist);
        case T_SubqueryScan: case T_CteScan: case T_NamedTuplestoreScan: case T_WorkTableScan:
            return true;
        default:
            return false;
    }
}

/* Any node, judged likewise. */
static bool
may_run(const BatchStatement *s, const Plan *plan)
{
    switch (nodeTag(plan))
    {
        case T_BitmapAnd: case T_BitmapOr: case T_Append: case T_MergeAppend: case T_Gather: case T_GatherMerge:
        case T_Hash: case T_Sort: case T_IncrementalSort: case T_Material: case T_Unique: case T_SetOp: case T_Group: case T_Agg:
        case T_ProjectSet:
            return true;
        case T_NestLoop:
            return MAY(NestLoop, join.joinqual);
        case T_MergeJoin:
            return MAY(MergeJoin, join.joinqual) && MAY(MergeJoin, mergeclauses);
        case T_HashJoin:
            return MAY(HashJoin, join.joinqual) && MAY(HashJoin, hashclauses);
        case T_Result:
            return MAY(Result, resconstantqual);
        case T_Limit:
            return MAY(Limit, limitOffset) && MAY(Limit, limitCount);
        case T_WindowAgg:
            return MAY(WindowAgg, startOffset) && MAY(WindowAgg, endOffset) &&
                sst_batch_may_evaluate(s, windowagg_run_condition(plan));
#if PG_VERSION_NUM >= 140000
        case T_Memoize:
            return MAY(Memoize, param_exprs);
#endif
        default:
            return may_scan(s, plan);
    }
}

static bool
may_read_all(const BatchStatement *s, List *plans)
{
    ListCell   *lc;

    foreach(lc, plans)
        if (lfirst(lc) && !sst_batch_may_read(s, lfirst(lc), false))
            return false;
    return true;
}

bool
sst_batch_reads_all_first(const Plan *plan)
{
    switch (nodeTag(plan))
    {
        case T_Sort:
        case T_Hash:
            return true;
        case T_Agg:
            return ((Agg *) plan)->aggstrategy == AGG_PLAIN || ((Agg *) plan)->aggstrategy == AGG_HASHED;
        default:
            return false;
    }
}

static bool
may_read_inputs(const BatchStatement *s, const Plan *plan, bool once)
{
    if (once && sst_batch_reads_all_first(plan))
        return true;
    switch (nodeTag(plan))
    {
        case T_Append:
            return may_read_all(s, ((Append *) plan)->appendplans);
        case T_MergeAppend:
            return may_read_all(s, ((MergeAppend *) plan)->mergeplans);
        case T_BitmapAnd:
            return may_read_all(s, ((BitmapAnd *) plan)->bitmapplans);
        case T_BitmapOr:
            return may_read_all(s, ((BitmapOr *) plan)->bitmapplans);
        case T_SubqueryScan:
            return sst_batch_may_read(s, ((SubqueryScan *) plan)->subplan, once);
        case T_CteScan:
            return sst_batch_may_read(s, list_nth(s->stmt->subplans, ((CteScan *) plan)->ctePlanId - 1), once);
        case T_NestLoop:
            return sst_batch_may_read(s, plan->lefttree, once) && sst_batch_may_read(s, plan->righttree, false);
        default:
            return (!plan->lefttree || sst_batch_may_read(s, plan->lefttree, once)) &&
                (!plan->righttree || sst_batch_may_read(s, plan->righttree, once));
    }
}

bool
sst_batch_may_read_input(const BatchStatement *s, const Plan *plan, bool once)
{
    check_stack_depth();
    return may_run(s, plan) && may_read_inputs(s, plan, once);
}

bool
sst_batch_may_read(const BatchStatement *s, const Plan *plan, bool once)
{
    return sst_batch_may_evaluate(s, plan->targetlist) && sst_batch_may_evaluate(s, plan->qual) &&
        sst_batch_may_read_input(s, plan, once);
}

/* ---- statements ------------------------------------------------------------------------------ */

/*
 * A subplan runs when an expression or a CteScan asks for it, so reading ahead runs it sooner and more often. We do not look up
 * which one a parameter stands for: all may run ahead, or none.
 */
bool
sst_batch_statement(BatchStatement *s, PlannedStmt *stmt)
{
    *s = (BatchStatement) {.stmt = stmt, .subplans_ahead = true};   /* subplans may contain others */
    s->subplans_ahead = may_read_all(s, stmt->subplans);
    switch (stmt->commandType)
    {
        case CMD_SELECT:
        case CMD_INSERT:
        case CMD_UPDATE:
        case CMD_DELETE:
            return !stmt->hasModifyingCTE;
        default:
            return false;
    }
}
