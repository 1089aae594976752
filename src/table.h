/*
 * table.h - a table that a caller named, a column of it, and how to look at a part of it.
 */
#ifndef SST_TABLE_H
#define SST_TABLE_H

#include "access/attnum.h"

typedef struct SstColumn
{
    AttrNumber  number;         /* 0: there is none */
    Oid         type;
    bool        generated;
    const char *name;           /* quoted */
    const char *said;           /* not quoted, for messages */
} SstColumn;

/*
 * The column of this name. Raises an ERROR where there is no such relation or column, or where it is no table; stored:
 * a materialized view is one, too.
 */
extern SstColumn sst_table_column(Oid relation, const char *name, bool materialized_views);

/* Raises an ERROR where a column's values are no texts. */
extern void sst_table_check_text(Oid relation, const SstColumn *column);

/* The name for a statement, quoted and with its schema. */
extern char *sst_table_name(Oid relation);

/* A part of a table and of all its partitions and children, or of it alone. */
typedef struct SstSample
{
    double      percent;        /* of its blocks, for TABLESAMPLE SYSTEM; 100: all */
    bool        analyzed;       /* the planner knows how many rows they have */
} SstSample;

/* How to sample about 1,000 blocks: the whole of a smaller table. */
extern SstSample sst_table_sample(Oid relation, bool with_children);

/* The schema that this function, of the extension, is in. */
extern const char *sst_table_schema_of(Oid function);

#endif
