/*
 * calls.h - the calls in expressions, and what stands in their place. For plan.c.
 */
#ifndef SST_BATCH_CALLS_H
#define SST_BATCH_CALLS_H

#include "batch.h"

/*
 * The function that is called, if it is declared as ours are and run as it is; or NULL. By its catalog row alone: to look the
 * function itself up would load the libraries of strangers.
 */
extern const BatchFunction *sst_batch_function_of(const FuncExpr *call);

/* Is there any call? context is NULL. */
extern bool sst_batch_contains_call(Node *node, void *context);

/* Adds to *calls (a List *) those that are made whenever node is evaluated. One within another's arguments has its turn first. */
extern bool sst_batch_find_calls(Node *node, void *calls);

/* Is the text of this call classified by one of those, by the same model? */
extern bool sst_batch_shares_text(List *calls, void *call);

/* Adds to *calls those of the same texts, wherever they stand: they cost no forward pass more. */
extern bool sst_batch_find_same_texts(Node *node, void *calls);

/* The calls that an aggregate makes for each of its input rows. */
extern List *sst_batch_find_argument_calls(const Plan *agg);

/* ---- rows and columns ------------------------------------------------------------------------ */

/* A row with one column more. */
extern List *sst_batch_append_column(List *row, void *expr);

/* The columns of a node below. */
extern List *sst_batch_columns_of(List *targetlist);

/* An expression over the columns of the node below, in that node's own terms; below is its Plan. */
extern Node *sst_batch_in_terms_of(Node *node, void *below);

/* Calls that have become columns of the node below. */
typedef struct Given
{
    List       *calls;
    int         columns;        /* before them */
} Given;

/* An expression over the columns of the node below, with given (a Given *) columns in place of calls. */
extern Node *sst_batch_with_given(Node *node, void *given);

/* The same in the arguments of aggregates only. */
extern Node *sst_batch_with_given_arguments(Node *node, void *given);

/* A row of the node below, with calls. */
typedef struct Widening
{
    List       *calls;          /* FuncExprs, as they were */
    List       *columns;        /* of the node below: expressions, as they were */
    bool        fixed;          /* the columns stay as they are, and OUTER_VARs refer to them */
} Widening;

/* An expression in terms of the widened row; widening is a Widening *. */
extern Node *sst_batch_widened(Node *node, void *widening);

#endif
