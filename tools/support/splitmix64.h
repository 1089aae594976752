/*
 * splitmix64.h - random numbers for tests: the same from the same seed, so that a failure repeats.
 *
 * After Steele, Lea and Flood 2014, "Fast Splittable Pseudorandom Number Generators".
 */
#ifndef SPLITMIX64_H
#define SPLITMIX64_H

#include <stdint.h>

static inline uint64_t
splitmix64(uint64_t *seed)
{
    uint64_t    z = *seed += UINT64_C(0x9E3779B97F4A7C15);

    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

#endif
