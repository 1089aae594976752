/*
 * stats.c - sst2_stats(): what this session has classified.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "funcapi.h"

#include "classifier.h"

PG_FUNCTION_INFO_V1(sst2_stats);
Datum
sst2_stats(PG_FUNCTION_ARGS)
{
    const ClassifierUsage *usage = &sst_classifier_usage;
    TupleDesc   row;
    Datum       values[7];
    bool        nulls[7] = {false};
    int         i = 0;

    if (get_call_result_type(fcinfo, NULL, &row) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    values[i++] = Int64GetDatum(usage->texts);
    values[i++] = Int64GetDatum(usage->memo_hits);
    values[i++] = Int64GetDatum(usage->truncated);
    values[i++] = Int64GetDatum(usage->tokens);
    values[i++] = Int64GetDatum(usage->batches);
    values[i++] = Float8GetDatum(usage->milliseconds);
    nulls[i] = usage->milliseconds == 0;
    values[i] = Float8GetDatum(nulls[i] ? 0 : usage->texts * 1000 / usage->milliseconds);
    PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row), values, nulls)));
}
