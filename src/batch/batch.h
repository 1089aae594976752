/*
 * batch.h - many rows per forward pass: calls of one text a row, gathered by a plan node.
 *
 * calls.c finds the calls, safe.c says where rows may be read ahead, plan.c puts the node SstBatch there, exec.c runs it.
 *
 * SstBatch widens each row of its child by a column for each call of one of our functions. custom_scan_tlist describes
 * the widened row: first the calls, FuncExprs whose arguments are written in columns of this same row, then the child's
 * columns, as OUTER_VARs. The node's own target list and qual refer to it by INDEX_VARs. custom_private has the C symbol
 * of each call's function, so that the executor need not ask the catalog, which may have changed since.
 */
#ifndef SST_BATCH_H
#define SST_BATCH_H

#include "nodes/extensible.h"
#include "nodes/plannodes.h"

#include "../answer.h"
#include "../classifier.h"

/* A function whose calls are batched, of (text) or (text, model text), and with a confidence real behind the text. */
typedef struct BatchFunction
{
    const char *symbol;         /* in the library */
    Oid         result;         /* its type */
    SstAnswerDatum make;
} BatchFunction;

/* Defines distilsst.batch_size. */
extern void sst_batch_define_settings(void);

/* Starts to rewrite plans; to be called once, by _PG_init. */
extern void sst_batch_init(void);

/* distilsst.batch_size: rows that share a forward pass at most; 1 leaves plans as they are. */
extern int  sst_batch_size;

/* ---- exec.c ---------------------------------------------------------------------------------- */

extern const CustomScanMethods sst_batch_methods;

/* ---- calls.c --------------------------------------------------------------------------------- */

/* The function of this symbol, or NULL. */
extern const BatchFunction *sst_batch_function(const char *symbol);

/* The arguments of a call that say what is classified: (text) or (text, model). */
extern List *sst_batch_text(const FuncExpr *call);

/* The confidence that a call asks for; NULL: none. */
extern Node *sst_batch_confidence(const FuncExpr *call);

/* The position of an expression in a list, from 1; 0 if it is like none there. */
extern int  sst_batch_position(List *list, void *expression);

/* ---- safe.c ---------------------------------------------------------------------------------- */

/* A statement whose plans may be rewritten. */
typedef struct BatchStatement
{
    PlannedStmt *stmt;
    bool        subplans_ahead; /* its subplans may run for rows that are read ahead */
} BatchStatement;

/* Fills in *s, or returns false where all plans are to stay as they are. */
extern bool sst_batch_statement(BatchStatement *s, PlannedStmt *stmt);

/* May these expressions (a node or list) be evaluated for rows that are read ahead? */
extern bool sst_batch_may_evaluate(const BatchStatement *s, const void *expressions);

/* May these arguments of a call be evaluated ahead, by SstBatch itself? In a parallel worker, if that is asked? */
extern bool sst_batch_may_classify(const void *arguments, bool in_worker);

/* Has a node read all its input before it gives out its first row? */
extern bool sst_batch_reads_all_first(const Plan *plan);

/*
 * May this plan's rows be read ahead, from it and all below? once: it gives them only once for all that SstBatch reads ahead,
 * and its first row before SstBatch does.
 */
extern bool sst_batch_may_read(const BatchStatement *s, const Plan *plan, bool once);

/* The same, whatever the plan's own target list and qual are. */
extern bool sst_batch_may_read_input(const BatchStatement *s, const Plan *plan, bool once);

#endif
