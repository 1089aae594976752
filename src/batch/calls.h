/*
 * calls.h - the calls in expressions, and what stands in their place. For plan.c.
 */
#ifndef SST_BATCH_CALLS_H
#define SST_BATCH_CALLS_H

#include "batch.h"

/*
 * The function that is called, if it is declared as ours are and nothing wraps it; or NULL. Decided by its catalog row alone: to
 * look the function up would load other people's libraries.
 */
extern const BatchFunction *sst_batch_function_of(const FuncExpr *call);

/* Is there any call? context is NULL. */
extern bool sst_batch_contains_call(Node *node, void *context);

/* Adds to *calls (a List *) those made whenever node is evaluated. Of a call within another's arguments only the inner counts. */
extern bool sst_batch_find_calls(Node *node, void *calls);

/* Does one of these calls classify the same text by the same model? */
extern bool sst_batch_shares_text(List *calls, void *call);

/* Adds to *calls those of the same texts, wherever they stand: they cost no further forward pass. */
extern bool sst_batch_find_same_texts(Node *node, void *calls);

/* The calls that an Agg makes for each of its input rows. */
extern List *sst_batch_find_argument_calls(const Plan *agg);

/* ---- rows and columns ------------------------------------------------------------------------ */

/* A target list with these expressions as further columns. */
extern List *sst_batch_append_columns(List *targetlist, List *expressions);

/* The target list of a node that passes on the rows of one below, whose target list is given. */
extern List *sst_batch_columns_of(List *targetlist);

/* An expression over the columns of the node below, with that node's own expressions in their place; below is its Plan. */
extern Node *sst_batch_in_terms_of(Node *node, void *below);

/* Calls that the node below makes, as its last columns. */
typedef struct Given
{
    List       *calls;
    int         columns;        /* before them */
} Given;

/* An expression with those columns in place of the calls; given is a Given *. */
extern Node *sst_batch_with_given(Node *node, void *given);

/* The same, only in the arguments of aggregates. */
extern Node *sst_batch_with_given_arguments(Node *node, void *given);

/* How rows are widened. Calls and columns are expressions in the terms of the node that SstBatch comes above. */
typedef struct Widening
{
    List       *calls;
    List       *columns;        /* of the child; sst_batch_widened adds those that it meets */
    bool        fixed;          /* or else the child's columns are there already, and OUTER_VARs refer to them */
} Widening;

/* An expression over the widened row; widening is a Widening *. */
extern Node *sst_batch_widened(Node *node, void *widening);

#endif
