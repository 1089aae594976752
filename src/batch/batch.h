/*
 * batch.h - many rows share one forward pass, gathered by a plan node.
 *
 * calls.c finds the calls of our functions, safe.c says where rows may be read ahead, plan.c puts the node SstBatch there,
 * exec.c runs it.
 *
 * SstBatch widens each row of its child by one column per call. custom_scan_tlist describes the widened row: first the
 * calls, FuncExprs whose arguments are written in columns of the same row, then the child's columns, as OUTER_VARs. The
 * node's target list and qual refer to the widened row by INDEX_VARs. custom_private holds the C symbol of each call's
 * function: the executor does not ask the catalog, which may have changed since.
 */
#ifndef SST_BATCH_H
#define SST_BATCH_H

#include "nodes/extensible.h"
#include "nodes/plannodes.h"

#include "../answer.h"
#include "../classifier.h"

/* A function whose calls are batched. It takes (text [, confidence real] [, model text]). */
typedef struct BatchFunction
{
    const char *symbol;         /* in the library */
    Oid         result;         /* type */
    SstAnswerDatum make;
} BatchFunction;

/* Defines distilsst.batch_size. */
extern void sst_batch_define_settings(void);

/* Starts to rewrite plans. _PG_init calls it once. */
extern void sst_batch_init(void);

/* distilsst.batch_size: at most this many rows share a forward pass; 1 leaves plans alone. */
extern int  sst_batch_size;

/* ---- exec.c ---------------------------------------------------------------------------------- */

extern const CustomScanMethods sst_batch_methods;

/* ---- calls.c --------------------------------------------------------------------------------- */

/* The function of this symbol, or NULL. */
extern const BatchFunction *sst_batch_function(const char *symbol);

/* What a call classifies: its arguments (text) or (text, model). */
extern List *sst_batch_text(const FuncExpr *call);

/* The confidence that a call asks for, or NULL. */
extern Node *sst_batch_confidence(const FuncExpr *call);

/* The position of an equal expression in a list, from 1; 0 if there is none. */
extern int  sst_batch_position(List *list, void *expression);

/* ---- safe.c ---------------------------------------------------------------------------------- */

/* A statement whose plans we may rewrite. */
typedef struct BatchStatement
{
    PlannedStmt *stmt;
    bool        subplans_ahead; /* its subplans may run for rows read ahead */
} BatchStatement;

/* Fills in *s, or returns false if all plans must stay as they are. */
extern bool sst_batch_statement(BatchStatement *s, PlannedStmt *stmt);

/* May these expressions (a node or a list) be evaluated for rows read ahead? */
extern bool sst_batch_may_evaluate(const BatchStatement *s, const void *expressions);

/* May SstBatch itself evaluate these arguments of a call, for rows read ahead? in_worker: also in a parallel worker? */
extern bool sst_batch_may_classify(const void *arguments, bool in_worker);

/* Does a node read all its input before it returns its first row? */
extern bool sst_batch_reads_all_first(const Plan *plan);

/*
 * May SstBatch read ahead from this plan and all below it? once: the plan runs only once for all that SstBatch reads, and
 * returns its first row before SstBatch returns one.
 */
extern bool sst_batch_may_read(const BatchStatement *s, const Plan *plan, bool once);

/* The same, but for the plan's own target list and qual. */
extern bool sst_batch_may_read_input(const BatchStatement *s, const Plan *plan, bool once);

#endif
