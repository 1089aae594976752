/*
 * dependents.c - sst2_dependents(): what in this database is made of answers, and by which model.
 *
 * A query follows pg_depend from the extension's functions through all that passes their answers on: functions with an SQL
 * body, aggregates, operators and views. It returns the stored expression that calls a function of ours; the model is an
 * argument there. PostgreSQL does not record what a function calls whose body is a string.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "models.h"
#include "rows.h"
#include "settings.h"

/* An expression computes the model. No model has such a name. */
#define COMPUTED "(computed)"

#if PG_VERSION_NUM < 140000
#define FUNCTION_BODY "NULL::text"
#define STATISTICS_EXPRESSIONS "NULL::text"
#else
#define FUNCTION_BODY "(SELECT prosqlbody::text FROM pg_catalog.pg_proc WHERE oid = d.objid)"
#define STATISTICS_EXPRESSIONS "(SELECT stxexprs::text FROM pg_catalog.pg_statistic_ext WHERE oid = d.objid)"
#endif

/* Columns of the query. */
enum
{
    COLUMN_OBJECT = 1,
    COLUMN_KIND,
    COLUMN_FUNCTION,
    COLUMN_OID,                 /* of the function */
    COLUMN_ARGUMENT,            /* which of its arguments names the model, from 0; NULL: none does */
    COLUMN_EXPRESSION           /* that calls it; NULL: something else refers to it */
};

static const char *const dependents_query =
"WITH RECURSIVE ours AS ("
"  SELECT p.oid, CASE WHEN a <= p.pronargs THEN a - 1 END AS argument"
"  FROM pg_catalog.pg_extension x"
"  JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.refobjid = x.oid"
"  JOIN pg_catalog.pg_proc p ON d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid,"
"    pg_catalog.array_position(p.proargnames, 'model') a"
"  WHERE x.extname = 'distilsst'"
"), uses AS ("
"  SELECT o.oid AS function, o.argument, d.classid, d.objid, d.objsubid,"
"    CASE d.classid"
"      WHEN 'pg_catalog.pg_attrdef'::regclass THEN (SELECT adbin::text FROM pg_catalog.pg_attrdef WHERE oid = d.objid)"
"      WHEN 'pg_catalog.pg_constraint'::regclass THEN (SELECT conbin::text FROM pg_catalog.pg_constraint WHERE oid = d.objid)"
"      WHEN 'pg_catalog.pg_trigger'::regclass THEN (SELECT tgqual::text FROM pg_catalog.pg_trigger WHERE oid = d.objid)"
"      WHEN 'pg_catalog.pg_proc'::regclass THEN " FUNCTION_BODY
"      WHEN 'pg_catalog.pg_statistic_ext'::regclass THEN " STATISTICS_EXPRESSIONS
"      WHEN 'pg_catalog.pg_rewrite'::regclass THEN"
"        (SELECT '(' || ev_action::text || ' ' || ev_qual::text || ')' FROM pg_catalog.pg_rewrite WHERE oid = d.objid)"
"      WHEN 'pg_catalog.pg_policy'::regclass THEN"
"        (SELECT '(' || concat_ws(' ', polqual::text, polwithcheck::text) || ')' FROM pg_catalog.pg_policy WHERE oid = d.objid)"
"      WHEN 'pg_catalog.pg_class'::regclass THEN coalesce("
"        (SELECT adbin::text FROM pg_catalog.pg_attrdef WHERE adrelid = d.objid AND adnum = d.objsubid),"
"        (SELECT '(' || concat_ws(' ', indexprs::text, indpred::text) || ')' FROM pg_catalog.pg_index "
"         WHERE indexrelid = d.objid),"
"        (SELECT partexprs::text FROM pg_catalog.pg_partitioned_table WHERE partrelid = d.objid))"
"    END AS expression"
"  FROM ours o JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_proc'::regclass AND d.refobjid = o.oid"
"  UNION"
"  SELECT u.function, u.argument, d.classid, d.objid, d.objsubid, u.expression"
"  FROM uses u"
"  LEFT JOIN pg_catalog.pg_rewrite r ON u.classid = 'pg_catalog.pg_rewrite'::regclass AND r.oid = u.objid"
"  LEFT JOIN pg_catalog.pg_class v ON v.oid = r.ev_class AND v.relkind = 'v'"
"  JOIN pg_catalog.pg_depend d ON d.refobjid = coalesce(v.oid, u.objid) AND d.refclassid ="
"    CASE WHEN v.oid IS NOT NULL THEN 'pg_catalog.pg_class'::regclass"
"      WHEN u.classid IN ('pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_operator'::regclass) THEN u.classid END"
"), described AS ("
"  SELECT u.*, CASE"
"    WHEN a.attnum IS NOT NULL THEN CASE a.attgenerated WHEN '' THEN 'default' ELSE 'generated column' END"
"    WHEN m.relkind IS NOT NULL THEN CASE WHEN r.ev_type <> '1' THEN 'rule' WHEN m.relkind = 'm' THEN 'materialized view' END"
"    WHEN c.relkind IN ('i', 'I') THEN 'index'"
"    WHEN c.relkind = 'p' AND u.objsubid = 0 THEN 'partition key'"
"    ELSE CASE u.classid WHEN 'pg_catalog.pg_constraint'::regclass THEN 'constraint'"
"      WHEN 'pg_catalog.pg_trigger'::regclass THEN 'trigger' WHEN 'pg_catalog.pg_policy'::regclass THEN 'policy'"
"      WHEN 'pg_catalog.pg_statistic_ext'::regclass THEN 'statistics' END"
"    END AS kind,"
"    CASE WHEN a.attnum IS NOT NULL THEN pg_catalog.pg_describe_object('pg_catalog.pg_class'::regclass, a.attrelid, a.attnum)"
"      WHEN m.relkind = 'm' THEN pg_catalog.pg_describe_object('pg_catalog.pg_class'::regclass, m.oid, 0)"
"      ELSE pg_catalog.pg_describe_object(u.classid, u.objid, u.objsubid) END AS object"
"  FROM uses u"
"  LEFT JOIN pg_catalog.pg_attrdef f ON u.classid = 'pg_catalog.pg_attrdef'::regclass AND f.oid = u.objid"
"  LEFT JOIN pg_catalog.pg_rewrite r ON u.classid = 'pg_catalog.pg_rewrite'::regclass AND r.oid = u.objid"
"  LEFT JOIN pg_catalog.pg_class m ON m.oid = r.ev_class"
"  LEFT JOIN pg_catalog.pg_class c ON u.classid = 'pg_catalog.pg_class'::regclass AND c.oid = u.objid"
"  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = coalesce(f.adrelid, c.oid) AND a.attnum = coalesce(f.adnum, u.objsubid)"
"    AND a.attnum > 0"
")"
"SELECT object, kind, function::regprocedure::text, function, argument, '(' || string_agg(expression, ' ') || ')'"
"  FROM described WHERE kind IS NOT NULL GROUP BY object, kind, function, argument ORDER BY object, 3";

/* Which models stored expressions pass to a function. */
typedef struct ModelSearch
{
    Oid         function;
    int         argument;       /* the one that names the model, or -1 */
    List       *models;         /* without repetition: names, COMPUTED, or NULL for the server's */
} ModelSearch;

static const char *
model_of(FuncExpr *call, int argument)
{
    Node       *model = NULL;
    ListCell   *lc;

    if (argument < 0)
        return NULL;
    foreach(lc, call->args)
    {
        Node       *arg = lfirst(lc);

        if (IsA(arg, NamedArgExpr) ? ((NamedArgExpr *) arg)->argnumber == argument : foreach_current_index(lc) == argument)
            model = IsA(arg, NamedArgExpr) ? (Node *) ((NamedArgExpr *) arg)->arg : arg;
    }
    model = model ? eval_const_expressions(NULL, model) : NULL;
    if (!model || (IsA(model, Const) && ((Const *) model)->constisnull))
        return NULL;
    if (!IsA(model, Const))
        return COMPUTED;
    return TextDatumGetCString(((Const *) model)->constvalue);
}

static void
add_model(ModelSearch *search, const char *model)
{
    ListCell   *lc;

    foreach(lc, search->models)
    {
        const char *known = lfirst(lc);

        if (known == model || (known && model && strcmp(known, model) == 0))
            return;
    }
    search->models = lappend(search->models, (void *) model);
}

static bool
find_models(Node *node, ModelSearch *search)
{
    if (node == NULL)
        return false;
    if (IsA(node, Query))
        return query_tree_walker((Query *) node, find_models, search, 0);
    if (IsA(node, FuncExpr) && ((FuncExpr *) node)->funcid == search->function)
        add_model(search, model_of((FuncExpr *) node, search->argument));
    return expression_tree_walker(node, find_models, search);
}

/* The models of a row of the query. What refers to a function without calling it does not say by which model it answers. */
static List *
models_of_row(HeapTuple tuple)
{
    TupleDesc   row = SPI_tuptable->tupdesc;
    bool        is_null;
    ModelSearch search = {.function = DatumGetObjectId(SPI_getbinval(tuple, row, COLUMN_OID, &is_null))};
    Datum       expression;

    search.argument = DatumGetInt32(SPI_getbinval(tuple, row, COLUMN_ARGUMENT, &is_null));
    if (is_null)
        search.argument = -1;
    expression = SPI_getbinval(tuple, row, COLUMN_EXPRESSION, &is_null);
    if (!is_null)
        find_models(stringToNode(TextDatumGetCString(expression)), &search);
    if (search.models == NIL)
        add_model(&search, search.argument < 0 ? NULL : COMPUTED);
    return search.models;
}

static bool
is_installed(const char *model)
{
    ModelProblem problem;
    OpenModel  *m = sst_models_inspect(model ? model : sst_setting_model(), &problem);
    const bool  installed = problem.text == NULL;

    MemoryContextDelete(m->context);
    return installed;
}

static void
add_row(const SstRows *rows, HeapTuple tuple, const char *model)
{
    TupleDesc   row = SPI_tuptable->tupdesc;
    Datum       values[5];
    bool        nulls[5] = {false};

    values[0] = SPI_getbinval(tuple, row, COLUMN_OBJECT, &nulls[0]);
    values[1] = SPI_getbinval(tuple, row, COLUMN_KIND, &nulls[1]);
    values[2] = SPI_getbinval(tuple, row, COLUMN_FUNCTION, &nulls[2]);
    values[3] = CStringGetTextDatum(model ? model : "");
    nulls[3] = !model;
    nulls[4] = model && strcmp(model, COMPUTED) == 0;
    values[4] = BoolGetDatum(!nulls[4] && is_installed(model));
    sst_rows_add(rows, values, nulls);
}

PG_FUNCTION_INFO_V1(sst2_dependents);
Datum
sst2_dependents(PG_FUNCTION_ARGS)
{
    const SstRows rows = sst_rows_begin(fcinfo);

    SPI_connect();
    if (SPI_execute(dependents_query, true, 0) != SPI_OK_SELECT)
        elog(ERROR, "could not read what depends on distilsst");
    for (uint64 i = 0; i < SPI_processed; i++)
    {
        HeapTuple   tuple = SPI_tuptable->vals[i];
        ListCell   *lc;

        foreach(lc, models_of_row(tuple))
            add_row(&rows, tuple, lfirst(lc));
    }
    SPI_finish();
    return (Datum) 0;
}
