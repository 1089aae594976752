/*
 * calls.c - the calls in expressions, and what stands in their place.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "calls.h"

#define LIBRARY "$libdir/distilsst" /* module_pathname in distilsst.control */

static const BatchFunction functions[] = {
    {"sst2_label", TEXTOID, sst_answer_label},
    {"sst2_label_confident", TEXTOID, sst_answer_confident_label},
    {"sst2_score", FLOAT4OID, sst_answer_score},
    {"sst2_logits", FLOAT4ARRAYOID, sst_answer_logits},
    {"sst2_classify", RECORDOID, sst_answer_row}
};

const BatchFunction *
sst_batch_function(const char *symbol)
{
    for (size_t i = 0; i < lengthof(functions); i++)
        if (strcmp(functions[i].symbol, symbol) == 0)
            return &functions[i];
    return NULL;
}

Node *
sst_batch_confidence(const FuncExpr *call)
{
    Node       *second = list_length(call->args) > 1 ? lsecond(call->args) : NULL;

    return second && exprType(second) == FLOAT4OID ? second : NULL;
}

List *
sst_batch_text(const FuncExpr *call)
{
    return sst_batch_confidence(call) ? list_delete_nth_cell(list_copy(call->args), 1) : call->args;
}

int
sst_batch_position(List *list, void *expression)
{
    ListCell   *lc;

    foreach(lc, list)
        if (equal(lfirst(lc), expression))
            return foreach_current_index(lc) + 1;
    return 0;
}

/* ---- calls ----------------------------------------------------------------------------------- */

static char *
text_attribute(HeapTuple tuple, AttrNumber attribute)
{
    bool        isnull;
    Datum       value = SysCacheGetAttr(PROCOID, tuple, attribute, &isnull);

    return isnull ? "" : TextDatumGetCString(value);
}

const BatchFunction *
sst_batch_function_of(const FuncExpr *call)
{
    const BatchFunction *f = NULL;
    HeapTuple   tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(call->funcid));
    Form_pg_proc proc;

    if (!HeapTupleIsValid(tuple))
        return NULL;
    proc = (Form_pg_proc) GETSTRUCT(tuple);
    if (proc->prolang == ClanguageId && proc->proisstrict && !proc->proretset && !proc->prosecdef &&
        proc->provolatile == PROVOLATILE_IMMUTABLE && heap_attisnull(tuple, Anum_pg_proc_proconfig, NULL) &&
        strcmp(text_attribute(tuple, Anum_pg_proc_probin), LIBRARY) == 0 && !FmgrHookIsNeeded(call->funcid))
        f = sst_batch_function(text_attribute(tuple, Anum_pg_proc_prosrc));
    if (f && f->result != proc->prorettype)
        f = NULL;
    ReleaseSysCache(tuple);
    return f;
}

/* No confidence, or one that SstBatch knows beforehand and that raises no ERROR. */
static bool
is_known_confidence(Node *node)
{
    return !node || (IsA(node, Const) && !((Const *) node)->constisnull &&
                     sst_answer_is_confidence(DatumGetFloat4(((Const *) node)->constvalue)));
}

static bool
is_call(Node *node)
{
    FuncExpr   *call = (FuncExpr *) node;
    List       *text;

    if (!IsA(node, FuncExpr) || call->funcid < FirstNormalObjectId || call->args == NIL ||
        !is_known_confidence(sst_batch_confidence(call)))
        return false;
    text = sst_batch_text(call);
    return list_length(text) <= 2 && exprType(linitial(text)) == TEXTOID && exprType(llast(text)) == TEXTOID &&
        sst_batch_function_of(call);
}

/* Is this something that only the node below can evaluate? */
static bool
is_column(Node *node)
{
    return IsA(node, Var) || IsA(node, Aggref) || IsA(node, GroupingFunc) || IsA(node, WindowFunc);
}

bool
sst_batch_contains_call(Node *node, void *context)
{
    if (node == NULL || is_column(node))
        return false;
    return is_call(node) || expression_tree_walker(node, sst_batch_contains_call, context);
}

bool
sst_batch_find_calls(Node *node, void *calls)
{
    if (node == NULL || is_column(node))
        return false;
    switch (nodeTag(node))
    {
        case T_FuncExpr:
            if (!is_call(node) || sst_batch_contains_call((Node *) ((FuncExpr *) node)->args, NULL) ||
                !sst_batch_may_classify(node, false))
                break;
            *(List **) calls = list_append_unique(*(List **) calls, node);
            return false;
        case T_List: case T_TargetEntry: case T_OpExpr: case T_DistinctExpr: case T_NullIfExpr: case T_ScalarArrayOpExpr:
        case T_FieldSelect: case T_RelabelType: case T_CoerceViaIO: case T_CoerceToDomain: case T_ConvertRowtypeExpr:
        case T_ArrayExpr: case T_RowExpr: case T_MinMaxExpr: case T_NullTest: case T_BooleanTest:
            break;
            /* these may skip all operands but the first */
        case T_BoolExpr:
            return sst_batch_find_calls(linitial(((BoolExpr *) node)->args), calls);
        case T_CoalesceExpr:
            return sst_batch_find_calls(linitial(((CoalesceExpr *) node)->args), calls);
        case T_CaseExpr:
            sst_batch_find_calls((Node *) ((CaseExpr *) node)->arg, calls);
            return sst_batch_find_calls((Node *) linitial_node(CaseWhen, ((CaseExpr *) node)->args)->expr, calls);
        case T_SubscriptingRef:
            return sst_batch_find_calls((Node *) ((SubscriptingRef *) node)->refexpr, calls);
        case T_ArrayCoerceExpr:
            return sst_batch_find_calls((Node *) ((ArrayCoerceExpr *) node)->arg, calls);
        default:
            return false;
    }
    return expression_tree_walker(node, sst_batch_find_calls, calls);
}

bool
sst_batch_shares_text(List *calls, void *call)
{
    ListCell   *lc;

    foreach(lc, calls)
        if (equal(sst_batch_text(lfirst_node(FuncExpr, lc)), sst_batch_text(call)))
            return true;
    return false;
}

bool
sst_batch_find_same_texts(Node *node, void *calls)
{
    if (node == NULL || is_column(node))
        return false;
    if (!is_call(node) || !sst_batch_shares_text(*(List **) calls, node))
        return expression_tree_walker(node, sst_batch_find_same_texts, calls);
    *(List **) calls = list_append_unique(*(List **) calls, node);
    return false;
}

List *
sst_batch_find_argument_calls(const Plan *agg)
{
    List       *aggregates = pull_var_clause((Node *) list_make2(agg->targetlist, agg->qual), PVC_INCLUDE_AGGREGATES);
    List       *calls = NIL;
    List       *inputs = NIL;
    ListCell   *lc;

    foreach(lc, aggregates)
        if (IsA(lfirst(lc), Aggref))
        {
            Aggref     *aggregate = lfirst(lc);

            sst_batch_find_calls(aggregate->aggfilter ? (Node *) aggregate->aggfilter : (Node *) aggregate->args, &calls);
            inputs = lappend(lappend(inputs, aggregate->aggfilter), aggregate->args);
        }
    sst_batch_find_same_texts((Node *) inputs, &calls);
    return calls;
}

/* ---- rows and columns ------------------------------------------------------------------------ */

static Var *
var_like(void *node, int varno, int column)
{
    return makeVar(varno, column, exprType(node), exprTypmod(node), exprCollation(node), 0);
}

List *
sst_batch_append_columns(List *targetlist, List *expressions)
{
    ListCell   *lc;

    foreach(lc, expressions)
        targetlist = lappend(targetlist, makeTargetEntry(lfirst(lc), list_length(targetlist) + 1, NULL, false));
    return targetlist;
}

List *
sst_batch_columns_of(List *targetlist)
{
    List       *columns = copyObject(targetlist);
    ListCell   *lc;

    foreach(lc, columns)
        lfirst_node(TargetEntry, lc)->expr =
            (Expr *) var_like(lfirst_node(TargetEntry, lc)->expr, OUTER_VAR, foreach_current_index(lc) + 1);
    return columns;
}

Node *
sst_batch_in_terms_of(Node *node, void *below)
{
    if (node && IsA(node, Var) && ((Var *) node)->varno == OUTER_VAR)
        return copyObject((Node *) list_nth_node(TargetEntry, ((Plan *) below)->targetlist, ((Var *) node)->varattno - 1)->expr);
    return expression_tree_mutator(node, sst_batch_in_terms_of, below);
}

Node *
sst_batch_with_given(Node *node, void *given)
{
    const Given *g = given;
    int         call = node ? sst_batch_position(g->calls, node) : 0;

    if (call)
        return (Node *) var_like(node, OUTER_VAR, g->columns + call);
    return expression_tree_mutator(node, sst_batch_with_given, given);
}

Node *
sst_batch_with_given_arguments(Node *node, void *given)
{
    if (node && IsA(node, Aggref))
        return expression_tree_mutator(node, sst_batch_with_given, given);
    return expression_tree_mutator(node, sst_batch_with_given_arguments, given);
}

Node *
sst_batch_widened(Node *node, void *widening)
{
    Widening   *w = widening;
    int         call = node ? sst_batch_position(w->calls, node) : 0;

    if (call)
        return (Node *) var_like(node, INDEX_VAR, call);
    if (!node || !is_column(node))
        return expression_tree_mutator(node, sst_batch_widened, w);
    if (w->fixed)
        return (Node *) var_like(node, INDEX_VAR, list_length(w->calls) + ((Var *) node)->varattno);
    w->columns = list_append_unique(w->columns, node);
    return (Node *) var_like(node, INDEX_VAR, list_length(w->calls) + sst_batch_position(w->columns, node));
}
