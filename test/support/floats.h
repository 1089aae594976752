/*
 * floats.h - random floats for the kernels, and whether two kernels gave the same.
 */
#ifndef FLOATS_H
#define FLOATS_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "random.h"

static inline double
uniform(double low, double high)
{
    return low + (high - low) * (double) (next_random() >> 11) * 0x1p-53;
}

/* Values between -2 and 2; with extremes, one in 50 strains the arithmetic. */
static inline void
fill(float *x, size_t n, bool extremes)
{
    static const float strange[] = {0.0f, -0.0f, 1e-45f, -1e-38f, 3e38f, -3e38f, 1e30f, INFINITY, -INFINITY, NAN,
        __builtin_nanf("1")};

    for (size_t i = 0; i < n; i++)
    {
        x[i] = (float) uniform(-2, 2);
        if (extremes && next_random() % 50 == 0)
            x[i] = strange[next_random() % (sizeof(strange) / sizeof(strange[0]))];
    }
}

/* The same bits, or both NaN: the CPU chooses a NaN's bits, and sst_forward lets no NaN out. */
static inline bool
same(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof(float)) != 0 && !(isnan(a[i]) && isnan(b[i])))
            return false;
    return true;
}

#endif
