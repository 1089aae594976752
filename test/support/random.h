/*
 * random.h - the random numbers of a test program: the same in each run, so that a failure repeats.
 */
#ifndef RANDOM_H
#define RANDOM_H

#include "splitmix64.h"

static inline uint64_t
next_random(void)
{
    static uint64_t seed = 42;

    return splitmix64(&seed);
}

#endif
