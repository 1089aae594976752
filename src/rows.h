/*
 * rows.h - the rows of a function that returns a set.
 */
#ifndef SST_ROWS_H
#define SST_ROWS_H

#include "fmgr.h"
#include "utils/tuplestore.h"

typedef struct SstRows
{
    Tuplestorestate *store;
    TupleDesc   row;
} SstRows;

/* Begins the result of a set-returning function, which then adds all its rows and returns (Datum) 0. */
extern SstRows sst_rows_begin(FunctionCallInfo fcinfo);
extern void sst_rows_add(const SstRows *rows, Datum *values, bool *nulls);

#endif
