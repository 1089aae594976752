/*
 * compat.h - the seams between the PostgreSQL versions that distilsst supports, 13 to 18.
 */
#ifndef COMPAT_H
#define COMPAT_H

/* 13.0 and 13.1 crash on WHERE CURRENT OF over a CustomScan. */
#if PG_VERSION_NUM < 130002
#error "distilsst needs PostgreSQL 13.2 or later"
#endif

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#include "commands/explain.h"
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif

#if PG_VERSION_NUM < 150000
#define MarkGUCPrefixReserved(prefix) EmitWarningsOnPlaceholders(prefix)
#endif

/* All settings; *count says how many. */
#if PG_VERSION_NUM < 160000
#define get_settings(count) (*(count) = GetNumConfigOptions(), get_guc_variables())
#else
#define get_settings(count) get_guc_variables(count)
#endif

#if PG_VERSION_NUM < 140000
#define plan_is_async(plan) false
#else
#define plan_is_async(plan) ((plan)->async_capable)
#endif

#if PG_VERSION_NUM < 150000
#define windowagg_run_condition(plan) NIL
#else
#define windowagg_run_condition(plan) (((WindowAgg *) (plan))->runCondition)
#endif

#endif
