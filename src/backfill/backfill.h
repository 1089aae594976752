/*
 * backfill.h - sst2_backfill(): a table's columns filled with answers, batch by batch, each a transaction of its own.
 *
 * target.c knows the table and its statements, progress.c keeps sst2_backfills, backfill.c does the work.
 *
 * A backfill's position is the primary key of the last row that it has seen. It only saves time: at the end we look through the
 * whole table for what is still missing, so a wrong position leaves no row out.
 */
#ifndef SST_BACKFILL_H
#define SST_BACKFILL_H

#include "access/tupdesc.h"
#include "pg_config_manual.h"

#include "../table.h"

/* ---- target.c -------------------------------------------------------------------------------- */

typedef struct KeyColumn
{
    const char *name;           /* quoted */
    Oid         type;
    int16       length;
    bool        by_value;
    const char *greater,        /* operators of the index, as OPERATOR(schema.name) */
               *at_least,
               *equal;
} KeyColumn;

/* What the caller of sst2_backfill() names; NULL: no such column. */
typedef struct TargetNames
{
    Oid         relation;
    const char *text;
    const char *label;
    const char *score;
    const char *model;
} TargetNames;

/* The table as the current transaction sees it, locked until that ends. Between two transactions it may be renamed. */
typedef struct Target
{
    const char *table;          /* quoted; with ONLY if keys are unique only in the table itself */
    SstColumn   text;
    SstColumn   label;
    SstColumn   score;
    SstColumn   model;
    const char *fingerprint;
    Oid         index;          /* of the primary key */
    int         keys;
    KeyColumn   key[INDEX_MAX_KEYS];
    const char *due;            /* a condition on t: the row must be filled */
} Target;

/* Raises an ERROR if the table or its columns cannot be filled. */
extern Target *sst_target(const TargetNames *names, const char *fingerprint);

/* The key of a row, or none. */
typedef struct Position
{
    bool        set;
    Datum       key[INDEX_MAX_KEYS];
} Position;

/*
 * Select the rows to be filled after a position, in the order of the key, into SPI_tuptable: the key's columns, then the text.
 * lock: skip rows that others have locked, and lock the rest.
 */
extern void sst_target_select(const Target *target, const Position *after, int limit, bool lock);

/* Wait until nobody else locks the row of this key, and lock it if it must be filled. */
extern void sst_target_wait(const Target *target, const Position *row);

/* Must any row be filled? */
extern bool sst_target_is_due(const Target *target);

/* Work that is done or due. */
typedef struct Work
{
    int64       rows;
    int64       bytes;          /* about what the model reads of their texts, which is what takes the time */
} Work;

/* What a row's text adds to the bytes. */
extern int64 sst_target_bytes(Datum text);

/* About how much is due? */
extern Work sst_target_count_due(const Target *target, Oid relation);

/* Columns of the answers: the key's, then these. */
#define ANSWER_LABEL(target) ((target)->keys)
#define ANSWER_SCORE(target) ((target)->keys + 1)
#define ANSWER_COLUMNS(target) ((target)->keys + 2)

struct Tuplestorestate;
extern TupleDesc sst_target_answer_row(const Target *target);

/* Write answers into their rows. Raises an ERROR if any of these must still be filled then. */
extern void sst_target_update(const Target *target, TupleDesc row, struct Tuplestorestate *answers, int count);

/* ---- progress.c ------------------------------------------------------------------------------ */

/* A row of sst2_backfills. */
typedef struct Progress
{
    Oid         function;       /* of the extension: sst2_backfills is in its schema */
    Oid         relation;
    Oid         role;
    int16       columns[4];
    bool        keeps_position;
    Oid         lock;           /* of a session that works on it, see sst_progress_begin */
    int64       done;           /* rows */
    int64       total;
    int64       bytes_left;
    double      rows_rate;      /* per second; 0: not known yet */
    double      bytes_rate;
} Progress;

/*
 * Begin, or go on from the position of an unfinished backfill of the same columns by the same role and model. Until
 * sst_progress_end() or an ERROR the session holds a lock by which sst2_progress sees that it works.
 */
extern void sst_progress_begin(Progress *progress, const Target *target, Work due, Position *position);

/* Count further rows as filled, and keep a position unless it is NULL. */
extern void sst_progress_advance(Progress *progress, const Target *target, Work filled, const Position *position);

extern void sst_progress_end(const Progress *progress);

#endif
