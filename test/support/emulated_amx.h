/* emulated_amx.h - the table of kernels/amxint8.c, emulated. */
#ifndef EMULATED_AMX_H
#define EMULATED_AMX_H

#include <stdbool.h>

#include "core/kernels/kernels.h"

extern const sst_kernels sst_kernels_emulated_amx;

/* How often tiles were configured: that many calls went to AMX. */
extern int emulated_configurations;

extern bool emulated_tiles_are_released(void);

#endif
