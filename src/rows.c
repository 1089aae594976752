/*
 * rows.c - the rows of a function that returns a set.
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"

#include "rows.h"

SstRows
sst_rows_begin(FunctionCallInfo fcinfo)
{
    ReturnSetInfo *info = (ReturnSetInfo *) fcinfo->resultinfo;
    SstRows     rows;
    MemoryContext old;

    if (!info || !IsA(info, ReturnSetInfo) || !(info->allowedModes & SFRM_Materialize))
        ereport(ERROR,
                (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                 errmsg("set-valued function called in context that cannot accept a set")));
    old = MemoryContextSwitchTo(info->econtext->ecxt_per_query_memory);
    if (get_call_result_type(fcinfo, NULL, &rows.row) != TYPEFUNC_COMPOSITE)
        rows.row = CreateTupleDescCopy(info->expectedDesc);     /* one column */
    rows.store = tuplestore_begin_heap(true, false, work_mem);
    MemoryContextSwitchTo(old);
    info->returnMode = SFRM_Materialize;
    info->setResult = rows.store;
    info->setDesc = rows.row;
    return rows;
}

void
sst_rows_add(const SstRows *rows, Datum *values, bool *nulls)
{
    tuplestore_putvalues(rows->store, rows->row, values, nulls);
}
