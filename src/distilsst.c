/*
 * distilsst.c - loading the library.
 */
#include "postgres.h"

#include "fmgr.h"
#include "utils/guc.h"

#include "batch/batch.h"
#include "classifier.h"
#include "compat.h"
#include "settings.h"

PG_MODULE_MAGIC;

void        _PG_init(void);

static void
define_settings(void)
{
    sst_classifier_init();
    sst_batch_define_settings();
}

void
_PG_init(void)
{
    sst_settings_define(define_settings);
    MarkGUCPrefixReserved("distilsst");
    sst_batch_init();
}
