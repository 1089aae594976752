/*
 * store.h - the model that this session uses.
 */
#ifndef STORE_H
#define STORE_H

#include "core/sst.h"

/* Defines distilsst.model; to be called once, by _PG_init. */
extern void store_init(void);

/*
 * The session's model, mapped on first use and whenever distilsst.model names another than before. Raises an ERROR where
 * there is none. The pointer is good until the next call, or an ERROR.
 */
extern const sst_model *store_model(void);

/* Changes whenever store_model() gives another model: what was computed before is stale. */
extern uint64 store_generation(void);

/* The path of the model's file, or NULL where the user may not see it. */
extern const char *store_file(void);

/* CHECK_FOR_INTERRUPTS() for the core. */
extern const sst_tick store_tick;

/* Raise an ERROR for a status of the core that is not SST_OK, about the session's model. */
extern void store_check(sst_status status);

#endif
