/*
 * table.c - a table that a caller named, a column of it, and how to look at a part of it.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "parser/parse_coerce.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "table.h"

#define SAMPLED_BLOCKS 3000

static void
check_kind(Oid relation, bool materialized_views)
{
    const char  kind = get_rel_relkind(relation);

    if (kind == '\0')
        ereport(ERROR,
                (errcode(ERRCODE_UNDEFINED_TABLE),
                 errmsg("relation with OID %u does not exist", relation)));
    if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE && !(materialized_views && kind == RELKIND_MATVIEW))
        ereport(ERROR,
                (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                 errmsg("\"%s\" is not a table", get_rel_name(relation)),
                 errhint("Name the table that its rows are stored in.")));
}

SstColumn
sst_table_column(Oid relation, const char *name, bool materialized_views, Oid to_add)
{
    SstColumn   column = {.said = pstrdup(name), .name = quote_identifier(pstrdup(name))};
    HeapTuple   tuple;

    check_kind(relation, materialized_views);
    tuple = SearchSysCacheAttName(relation, name);
    if (!HeapTupleIsValid(tuple) || ((Form_pg_attribute) GETSTRUCT(tuple))->attnum <= 0)
        ereport(ERROR,
                (errcode(ERRCODE_UNDEFINED_COLUMN),
                 errmsg("column \"%s\" of relation \"%s\" does not exist", name, get_rel_name(relation)),
                 OidIsValid(to_add) && !HeapTupleIsValid(tuple) ?
                 errhint("Add it with ALTER TABLE %s ADD COLUMN %s %s.", sst_table_name(relation), column.name,
                         format_type_be(to_add)) : 0));
    column.number = ((Form_pg_attribute) GETSTRUCT(tuple))->attnum;
    column.type = ((Form_pg_attribute) GETSTRUCT(tuple))->atttypid;
    column.generated = ((Form_pg_attribute) GETSTRUCT(tuple))->attgenerated != '\0';
    ReleaseSysCache(tuple);
    return column;
}

void
sst_table_check_text(Oid relation, const SstColumn *column)
{
    const Oid   text = TEXTOID;

    if (!can_coerce_type(1, &column->type, &text, COERCION_IMPLICIT))
        ereport(ERROR,
                (errcode(ERRCODE_DATATYPE_MISMATCH),
                 errmsg("column \"%s\" of relation \"%s\" is of type %s, not text",
                        column->said, get_rel_name(relation), format_type_be(column->type))));
}

void
sst_table_check_not_distributed(Oid relation)
{
    Oid         type = OIDOID;
    Datum       value = ObjectIdGetDatum(relation);

    if (!OidIsValid(get_relname_relid("pg_dist_partition", PG_CATALOG_NAMESPACE)))
        return;                 /* there is no Citus */
    if (SPI_execute_with_args("SELECT FROM pg_catalog.pg_dist_partition p WHERE p.logicalrelid OPERATOR(pg_catalog.=) $1",
                              1, &type, &value, NULL, false, 1) != SPI_OK_SELECT)
        elog(ERROR, "could not read pg_dist_partition");
    if (SPI_processed > 0)
        ereport(ERROR,
                (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                 errmsg("relation \"%s\" is distributed by Citus", get_rel_name(relation)),
                 errdetail("Its rows are in shards, each a table of its own on one of the servers."),
                 errhint("Call this on each of them: SELECT * FROM run_command_on_placements(%s, ...).",
                         quote_literal_cstr(sst_table_name(relation)))));
}

char *
sst_table_name(Oid relation)
{
    return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), get_rel_name(relation));
}

const char *
sst_table_schema_of(Oid function)
{
    return quote_identifier(get_namespace_name(get_func_namespace(function)));
}

/*
 * Adds the blocks of a table or of its partition. Before PostgreSQL 14 a table that was never analyzed looks like an empty one
 * that was. TABLESAMPLE takes all rows of a foreign table, from a server that may have other models.
 */
static void
add_blocks(Oid relation, double *blocks, bool *analyzed)
{
    Relation    rel = table_open(relation, NoLock);

    if (rel->rd_rel->relkind == RELKIND_FOREIGN_TABLE)
        ereport(ERROR,
                (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                 errmsg("partition \"%s\" is a foreign table", RelationGetRelationName(rel)),
                 errhint("Name each of the other partitions, and on the foreign server the table that it stands for.")));
    if (RELKIND_HAS_STORAGE(rel->rd_rel->relkind) && rel->rd_rel->relkind != RELKIND_SEQUENCE)
    {
        *blocks += RelationGetNumberOfBlocks(rel);
        *analyzed &= rel->rd_rel->reltuples > 0;
    }
    table_close(rel, NoLock);
}

SstSample
sst_table_sample(Oid relation, bool with_children)
{
    SstSample   sample = {.analyzed = true};
    double      blocks = 0;
    List       *relations = list_make1_oid(relation);
    ListCell   *lc;

    LockRelationOid(relation, AccessShareLock);
    if (with_children)
        relations = find_all_inheritors(relation, AccessShareLock, NULL);
    foreach(lc, relations)
        add_blocks(lfirst_oid(lc), &blocks, &sample.analyzed);
    sample.percent = blocks > SAMPLED_BLOCKS ? 100.0 * SAMPLED_BLOCKS / blocks : 100;
    return sample;
}
