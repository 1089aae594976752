/*
 * table.h - a table that a caller names, its columns, and how to sample it.
 */
#ifndef SST_TABLE_H
#define SST_TABLE_H

#include "access/attnum.h"

typedef struct SstColumn
{
    AttrNumber  number;         /* 0: no column */
    Oid         type;
    bool        generated;
    const char *name;           /* quoted */
    const char *said;           /* as the caller wrote it, for messages */
} SstColumn;

/*
 * The column of this name. Raises an ERROR if there is no such relation or column, or if the relation is not a table, nor, if
 * materialized_views, one of these. If to_add is a type, the hint says how to add a column of it.
 */
extern SstColumn sst_table_column(Oid relation, const char *name, bool materialized_views, Oid to_add);

/* Raises an ERROR unless a column's values are texts. */
extern void sst_table_check_text(Oid relation, const SstColumn *column);

/*
 * Raises an ERROR where Citus keeps the table's rows in other tables, most of them on other servers. Citus locks no rows of
 * several shards and joins them with nothing that a session holds, and the table itself has no blocks. SPI must be connected.
 */
extern void sst_table_check_not_distributed(Oid relation);

/* A table's name for a statement: quoted, with its schema. */
extern char *sst_table_name(Oid relation);

/* A part of a table's blocks. */
typedef struct SstSample
{
    double      percent;        /* for TABLESAMPLE SYSTEM; 100: all */
    bool        analyzed;       /* the planner knows how many rows the table has */
} SstSample;

/*
 * How to sample about 3,000 blocks of a table, if with_children together with its partitions and children. A smaller table is
 * taken whole. Raises an ERROR if one of them is a foreign table.
 */
extern SstSample sst_table_sample(Oid relation, bool with_children);

/* The schema of a function of the extension, quoted. */
extern const char *sst_table_schema_of(Oid function);

#endif
