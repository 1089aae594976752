/*
 * peak.h - what one core can do: multiply-adds in registers, with nothing to wait for.
 */
#ifndef PEAK_H
#define PEAK_H

#include "core/sst.h"

/* Billions of fp32 operations a second (an fma is two) by the instructions of isa; 0 for plain C. */
extern double peak_fp32(sst_isa isa);

/*
 * The same in int8, by the instructions of our kernels: vpdpbusd with VNNI; without it pmaddwd and paddd in 256 bits, on values
 * widened to 16 bits.
 */
extern double peak_int8(sst_isa isa);

/* Seconds of a clock that only goes forward. */
extern double peak_clock(void);

#endif
