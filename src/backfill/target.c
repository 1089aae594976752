/*
 * target.c - the table that is backfilled: its columns, its primary key and its statements.
 *
 * The statements run with the rights and the search_path of the caller, so the table's triggers and policies work as usual. Our
 * own part of the statements therefore names every schema.
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/genam.h"
#include "access/table.h"
#include "access/htup_details.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/queryenvironment.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "backfill.h"

#define ANSWERS "sst2_answers"  /* what the UPDATE calls the answers */

#define READ_BYTES 2300         /* of a text: 512 tokens of English */
#define ROW_BYTES 16            /* what else a row costs, by the time it takes */

/* ---- columns --------------------------------------------------------------------------------- */

/* Would a column of this type keep such a value unchanged? An int would round a score, a "char" would cut a label. */
static bool
keeps(Oid column, Oid value)
{
    const Oid   base = getBaseType(column);
    char        category;
    bool        preferred;

    if (value == FLOAT4OID)
        return base == FLOAT4OID || base == FLOAT8OID || base == NUMERICOID;
    get_type_category_preferred(base, &category, &preferred);
    return category == TYPCATEGORY_STRING && base != CHAROID;
}

/* A column to be filled with values of this type, or none. */
static SstColumn
filled_column(const TargetNames *names, const char *name, Oid type)
{
    SstColumn   column = {0};

    if (!name)
        return column;
    column = sst_table_column(names->relation, name, false, type);
    if (column.generated)
        ereport(ERROR,
                (errcode(ERRCODE_GENERATED_ALWAYS),
                 errmsg("column \"%s\" of relation \"%s\" is a generated column", name, get_rel_name(names->relation)),
                 errhint("The server has filled it when it was added, and keeps it filled. "
                         "Backfill an ordinary column instead.")));
    if (!keeps(column.type, type) || !can_coerce_type(1, &type, &column.type, COERCION_ASSIGNMENT))
        ereport(ERROR,
                (errcode(ERRCODE_DATATYPE_MISMATCH),
                 errmsg("column \"%s\" of relation \"%s\" is of type %s, which takes no value of type %s", name,
                        get_rel_name(names->relation), format_type_be(column.type), format_type_be(type))));
    return column;
}

static void
check_different(const Target *t)
{
    const AttrNumber numbers[] = {t->text.number, t->label.number, t->score.number, t->model.number};

    for (size_t i = 0; i < lengthof(numbers); i++)
        for (size_t j = 0; j < i; j++)
            if (numbers[i] != 0 && numbers[i] == numbers[j])
                ereport(ERROR,
                        (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                         errmsg("text, label, score and model must be different columns")));
}

static void
find_columns(Target *t, const TargetNames *names)
{
    t->text = sst_table_column(names->relation, names->text, false, InvalidOid);
    sst_table_check_text(names->relation, &t->text);
    t->label = filled_column(names, names->label, TEXTOID);
    t->score = filled_column(names, names->score, FLOAT4OID);
    t->model = filled_column(names, names->model, TEXTOID);
    check_different(t);
}

/* ---- the primary key ------------------------------------------------------------------------- */

/* The index of a table's primary key, or InvalidOid. */
static Oid
primary_key(Oid relation)
{
    Relation    rel = table_open(relation, NoLock);
    List       *indexes = RelationGetIndexList(rel);
    Oid         found = InvalidOid;
    ListCell   *lc;

    table_close(rel, NoLock);
    foreach(lc, indexes)
    {
        HeapTuple   tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(lfirst_oid(lc)));

        if (!HeapTupleIsValid(tuple))
            continue;
        if (((Form_pg_index) GETSTRUCT(tuple))->indisprimary)
            found = lfirst_oid(lc);
        ReleaseSysCache(tuple);
    }
    return found;
}

static const char *
operator_of(Oid family, Oid type, int strategy)
{
    const Oid   oid = get_opfamily_member(family, type, type, strategy);
    HeapTuple   tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(oid));
    Form_pg_operator operator;
    char       *name;

    if (!HeapTupleIsValid(tuple))
        elog(ERROR, "operator %d of family %u is missing", strategy, family);
    operator = (Form_pg_operator) GETSTRUCT(tuple);
    name = psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(operator->oprnamespace)), NameStr(operator->oprname));
    ReleaseSysCache(tuple);
    return name;
}

static KeyColumn
key_column(Oid relation, Relation index, int i)
{
    const AttrNumber number = index->rd_index->indkey.values[i];
    const Oid   family = index->rd_opfamily[i];
    const Oid   type = index->rd_opcintype[i];
    KeyColumn   key = {
        .name = quote_identifier(get_attname(relation, number, false)),
        .type = getBaseType(get_atttype(relation, number)),
        .greater = operator_of(family, type, BTGreaterStrategyNumber),
        .at_least = operator_of(family, type, BTGreaterEqualStrategyNumber),
        .equal = operator_of(family, type, BTEqualStrategyNumber)
    };

    get_typlenbyval(key.type, &key.length, &key.by_value);
    return key;
}

static void
find_key(Target *t, Oid relation)
{
    Relation    index;

    t->index = primary_key(relation);
    if (!OidIsValid(t->index))
        ereport(ERROR,
                (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                 errmsg("relation \"%s\" has no primary key", get_rel_name(relation)),
                 errhint("The rows are filled in the order of the primary key: add one.")));
    index = index_open(t->index, AccessShareLock);
    if (index->rd_rel->relam != BTREE_AM_OID)
        ereport(ERROR,
                (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                 errmsg("primary key of relation \"%s\" has no order", get_rel_name(relation))));
    t->keys = index->rd_index->indnkeyatts;
    for (int i = 0; i < t->keys; i++)
        t->key[i] = key_column(relation, index, i);
    index_close(index, AccessShareLock);
}

/* ---- parts of statements --------------------------------------------------------------------- */

static void
append_missing(StringInfo s, const SstColumn *column)
{
    if (column->number != 0)
        appendStringInfo(s, "%st.%s IS NULL", s->len > 0 ? " OR " : "", column->name);
}

/* A row without a text needs no answer. Any other needs one in each column, of this model if there is a column for that. */
static const char *
due_condition(const Target *t)
{
    StringInfoData missing;

    initStringInfo(&missing);
    append_missing(&missing, &t->label);
    append_missing(&missing, &t->score);
    append_missing(&missing, &t->model);
    if (t->model.number != 0)
        appendStringInfo(&missing, " OR t.%s::pg_catalog.text OPERATOR(pg_catalog.<>) '%s'", t->model.name, t->fingerprint);
    return psprintf("t.%s IS NOT NULL AND (%s)", t->text.name, missing.data);
}

Target *
sst_target(const TargetNames *names, const char *fingerprint)
{
    Target     *t = palloc0(sizeof(Target));

    LockRelationOid(names->relation, AccessShareLock);
    sst_table_check_not_distributed(names->relation);
    t->fingerprint = fingerprint;
    find_columns(t, names);
    find_key(t, names->relation);
    t->table = psprintf("%s%s", get_rel_relkind(names->relation) == RELKIND_PARTITIONED_TABLE ? "" : "ONLY ",
                        sst_table_name(names->relation));
    t->due = due_condition(t);
    return t;
}

/* t.first, t.second */
static const char *
key_list(const Target *t)
{
    StringInfoData s;

    initStringInfo(&s);
    for (int i = 0; i < t->keys; i++)
        appendStringInfo(&s, "%st.%s", i > 0 ? ", " : "", t->key[i].name);
    return s.data;
}

/* $1, $2 */
static const char *
parameter_list(const Target *t)
{
    StringInfoData s;

    initStringInfo(&s);
    for (int i = 0; i < t->keys; i++)
        appendStringInfo(&s, "%s$%d", i > 0 ? ", " : "", i + 1);
    return s.data;
}

static bool
has_one_operator(const Target *t)
{
    for (int i = 1; i < t->keys; i++)
        if (strcmp(t->key[i].greater, t->key[0].greater) != 0)
            return false;
    return true;
}

/*
 * The key is greater than the parameters. An index can find a comparison of rows, but that needs one operator for all columns,
 * which an extension's type may lack. We compare the first column by itself, too, for partition pruning.
 */
static const char *
after_condition(const Target *t)
{
    const KeyColumn *key = t->key;
    char       *after;

    if (has_one_operator(t))
        after = psprintf("ROW(%s) %s ROW(%s)", key_list(t), key[0].greater, parameter_list(t));
    else
    {
        int         last = t->keys - 1;

        after = psprintf("t.%s %s $%d", key[last].name, key[last].greater, last + 1);
        for (int i = last - 1; i >= 0; i--)
            after = psprintf("(t.%s %s $%d OR t.%s %s $%d AND %s)", key[i].name, key[i].greater, i + 1,
                             key[i].name, key[i].equal, i + 1, after);
    }
    return psprintf("t.%s %s $1 AND %s", key[0].name, key[0].at_least, after);
}

/* ---- statements ------------------------------------------------------------------------------ */

/* A query whose parameters are the columns of a key, if there are any. */
static void
select_by_key(const Target *t, const char *query, const Position *key)
{
    Oid         types[INDEX_MAX_KEYS];

    for (int i = 0; i < t->keys; i++)
        types[i] = t->key[i].type;
    if (SPI_execute_with_args(query, key->set ? t->keys : 0, types, (Datum *) key->key, NULL, false, 0) != SPI_OK_SELECT)
        elog(ERROR, "could not read: %s", query);
}

static void
switch_off(const char *setting)
{
    set_config_option(setting, "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Forces an index scan, since the planner knows nothing of a column that has just been added: any other plan reads the whole
 * table for each batch.
 */
void
sst_target_select(const Target *t, const Position *after, int limit, bool lock)
{
    const int   nest = NewGUCNestLevel();

    switch_off("enable_seqscan");
    switch_off("enable_bitmapscan");
    switch_off("enable_sort");
    switch_off("jit");
    select_by_key(t, psprintf("SELECT %s, t.%s::pg_catalog.text FROM %s t WHERE %s%s%s ORDER BY %s LIMIT %d%s",
                              key_list(t), t->text.name, t->table, t->due, after->set ? " AND " : "",
                              after->set ? after_condition(t) : "", key_list(t), limit,
                              lock ? " FOR NO KEY UPDATE SKIP LOCKED" : ""), after);
    AtEOXact_GUC(true, nest);
}

void
sst_target_wait(const Target *t, const Position *row)
{
    StringInfoData s;

    initStringInfo(&s);
    for (int i = 0; i < t->keys; i++)
        appendStringInfo(&s, " AND t.%s %s $%d", t->key[i].name, t->key[i].equal, i + 1);
    select_by_key(t, psprintf("SELECT 1 FROM %s t WHERE %s%s FOR NO KEY UPDATE", t->table, t->due, s.data), row);
}

static int64
number(int column)
{
    bool        is_null;

    return DatumGetInt64(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &is_null));
}

bool
sst_target_is_due(const Target *t)
{
    const Position none = {false};

    select_by_key(t, psprintf("SELECT 1 FROM %s t WHERE %s LIMIT 1", t->table, t->due), &none);
    return SPI_processed > 0;
}

int64
sst_target_bytes(Datum text)
{
    return ROW_BYTES + Min(toast_raw_datum_size(text) - VARHDRSZ, READ_BYTES);
}

Work
sst_target_count_due(const Target *t, Oid relation)
{
    const Position none = {false};
    const SstSample part = sst_table_sample(relation, get_rel_relkind(relation) == RELKIND_PARTITIONED_TABLE);
    const double scale = 100 / part.percent;
    int64       rows;

    select_by_key(t, psprintf("SELECT pg_catalog.count(*),"
                              " COALESCE(pg_catalog.sum(LEAST(pg_catalog.octet_length(t.%s::pg_catalog.text), %d)), 0)"
                              " FROM %s t TABLESAMPLE SYSTEM (%.17g) WHERE %s",
                              t->text.name, READ_BYTES, t->table, part.percent, t->due), &none);
    rows = number(1);
    return (Work) {.rows = (int64) (rows * scale), .bytes = (int64) ((number(2) + rows * ROW_BYTES) * scale)};
}

/* ---- answers --------------------------------------------------------------------------------- */

TupleDesc
sst_target_answer_row(const Target *t)
{
    TupleDesc   row = CreateTemplateTupleDesc(ANSWER_COLUMNS(t));

    for (int i = 0; i < t->keys; i++)
        TupleDescInitEntry(row, (AttrNumber) (i + 1), psprintf("key%d", i + 1), t->key[i].type, -1, 0);
    TupleDescInitEntry(row, (AttrNumber) (ANSWER_LABEL(t) + 1), "label", TEXTOID, -1, 0);
    TupleDescInitEntry(row, (AttrNumber) (ANSWER_SCORE(t) + 1), "score", FLOAT4OID, -1, 0);
    return row;
}

static const char *
update_statement(const Target *t)
{
    StringInfoData set,
                where;

    initStringInfo(&set);
    initStringInfo(&where);
    if (t->label.number != 0)
        appendStringInfo(&set, "%s = a.label", t->label.name);
    if (t->score.number != 0)
        appendStringInfo(&set, "%s%s = a.score", set.len > 0 ? ", " : "", t->score.name);
    if (t->model.number != 0)
        appendStringInfo(&set, ", %s = '%s'", t->model.name, t->fingerprint);
    for (int i = 0; i < t->keys; i++)
        appendStringInfo(&where, "%st.%s %s a.key%d", i > 0 ? " AND " : "", t->key[i].name, t->key[i].equal, i + 1);
    return psprintf("UPDATE %s t SET %s FROM %s a WHERE %s RETURNING %s", t->table, set.data, ANSWERS, where.data, t->due);
}

/* How many rows of the UPDATE's result must still be filled. */
static int
count_still_due(void)
{
    int         due = 0;

    for (uint64 i = 0; i < SPI_processed; i++)
    {
        bool        is_null;

        due += DatumGetBool(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &is_null));
    }
    return due;
}

void
sst_target_update(const Target *t, TupleDesc row, struct Tuplestorestate *answers, int count)
{
    EphemeralNamedRelationData relation = {
        .md = {.name = ANSWERS, .tupdesc = row, .enrtype = ENR_NAMED_TUPLESTORE, .enrtuples = count},
        .reldata = answers
    };
    int         unfilled;
    int         result;

    SPI_register_relation(&relation);
    result = SPI_execute(update_statement(t), false, 0);
    unfilled = result == SPI_OK_UPDATE_RETURNING ? count - (int) SPI_processed + count_still_due() : count;
    SPI_unregister_relation(ANSWERS);
    if (unfilled > 0)
        ereport(ERROR,
                (errcode(ERRCODE_TRIGGERED_DATA_CHANGE_VIOLATION),
                 errmsg("an UPDATE of %s leaves %d of %d rows unfilled", t->table, unfilled, count),
                 errhint("A trigger, a rule or a column's type changes what is written.")));
}
