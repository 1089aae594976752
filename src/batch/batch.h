/*
 * batch.h - many rows per forward pass: calls of one text a row, gathered by a plan node.
 *
 * plan.c puts the node SstBatch into finished plans, exec.c runs it.
 *
 * SstBatch widens each row of its child by a column for each call of one of our functions. custom_scan_tlist describes
 * the widened row: first the calls, FuncExprs whose argument is written in columns of this same row, then the child's
 * columns, as OUTER_VARs. The node's own target list and qual refer to it by INDEX_VARs.
 */
#ifndef BATCH_H
#define BATCH_H

#include "nodes/extensible.h"

#include "../answer.h"
#include "../classifier.h"

/* A function of one text whose calls are batched: how its result is made when the text has been classified. */
typedef struct BatchFunction
{
    PGFunction  address;
    SstAnswerDatum make;
} BatchFunction;

/* Defines distilsst.batch_size. */
extern void batch_define_settings(void);

/* Starts to rewrite plans; to be called once, by _PG_init. */
extern void batch_init(void);

/* distilsst.batch_size: rows that share a forward pass at most; 1 leaves plans as they are. */
extern int  sst_batch_size;

/* The function of this Oid, or NULL if it is none of ours. */
extern const BatchFunction *batch_function(Oid oid);

/* The position of an expression in a list, from 1; it is appended if it is like none there. */
extern int  batch_position(List **list, Node *node);

/* Those of SstBatch; exec.c. */
extern const CustomScanMethods batch_scan_methods;

#endif
