/*
 * v16_c.h - v16 in plain C.
 */
#ifndef V16_C_H
#define V16_C_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels.h"

typedef struct
{
    float       f[SST_LANES];
} v16;

typedef struct
{
    int32_t     s[SST_LANES];
} v16i;

typedef uint8_t s8_value;

#define LANES_OF(name, ...) \
    static inline v16 name { v16 v; for (int i = 0; i < SST_LANES; i++) v.f[i] = __VA_ARGS__; return v; }

LANES_OF(v16_load(const float *p), p[i])
LANES_OF(v16_set1(float f), f)
LANES_OF(v16_add(v16 a, v16 b), a.f[i] + b.f[i])
LANES_OF(v16_sub(v16 a, v16 b), a.f[i] - b.f[i])
LANES_OF(v16_mul(v16 a, v16 b), a.f[i] * b.f[i])
LANES_OF(v16_max(v16 a, v16 b), a.f[i] > b.f[i] ? a.f[i] : b.f[i])
LANES_OF(v16_min(v16 a, v16 b), a.f[i] < b.f[i] ? a.f[i] : b.f[i])
LANES_OF(v16_down(v16 a, int n), a.f[(i + n) % SST_LANES])

static inline float
v16_first(v16 v)
{
    return v.f[0];
}

static inline v16i
v16i_load(const int32_t *p)
{
    v16i        v;

    memcpy(v.s, p, sizeof(v.s));
    return v;
}

static inline void
v16_store(float *p, v16 v)
{
    memcpy(p, v.f, sizeof(v.f));
}

/*
 * May s = a * b + c, computed in double, round to another float than the exact sum? The product is exact; the sum was rounded
 * to 53 bits. Rounding again to 24 goes wrong only where s looks like the middle between two floats, and where floats
 * are denormal.
 */
static inline uint64_t
in_doubt(double s)
{
    const uint64_t smallest = UINT64_C(0x3820000000000000);     /* 2^-125 */
    uint64_t    bits,
                middle,
                tiny;

    memcpy(&bits, &s, sizeof(s));
    /* x == 0 is the top bit of x - 1, and x < y that of x - y: comparisons of 64 bits would not be vectorised */
    middle = ((bits & 0x1fffffff) ^ 0x10000000) - 1;
    bits &= ~(UINT64_C(1) << 63);
    tiny = (bits - smallest) & -bits;   /* -bits: but not 0 */
    return (middle | tiny) >> 63;
}

/* libm's fmaf is exact but slow, a call for every lane; it decides the few sums that are in doubt. */
static inline v16
v16_fma(v16 a, v16 b, v16 c)
{
    double      s[SST_LANES];
    uint64_t    doubt = 0;
    v16         v;

    for (int i = 0; i < SST_LANES; i++)
        s[i] = (double) a.f[i] * (double) b.f[i] + (double) c.f[i];
    for (int i = 0; i < SST_LANES; i++)
        doubt |= in_doubt(s[i]);
    for (int i = 0; i < SST_LANES; i++)
        v.f[i] = (float) s[i];
    if (doubt)
        for (int i = 0; i < SST_LANES; i++)
            v.f[i] = fmaf(a.f[i], b.f[i], c.f[i]);
    return v;
}

static inline float
scale_lane(float p, float t)
{
    uint32_t    p_bits,
                t_bits;

    memcpy(&p_bits, &p, sizeof(p));
    memcpy(&t_bits, &t, sizeof(t));
    p_bits += t_bits << 23;
    memcpy(&p, &p_bits, sizeof(p));
    return p;
}

LANES_OF(v16_scale(v16 p, v16 t), scale_lane(p.f[i], t.f[i]))

/* Unsigned, as what a hostile file gives for column sums may be anything. */
LANES_OF(v16_from_sums(v16i sums, int32_t zero, const int32_t *column_sums),
         (float) (int32_t) ((uint32_t) sums.s[i] - (uint32_t) zero * (uint32_t) column_sums[i]))

/* Not a value, which i386 returns through x87: that changes some NaNs. */
static inline uint8_t
low_byte(const float *f)
{
    uint32_t    bits;

    memcpy(&bits, f, sizeof(bits));
    return (uint8_t) bits;
}

static inline void
v16_store_values(s8_value *p, v16 v)
{
    for (int i = 0; i < SST_LANES; i++)
        p[i] = low_byte(&v.f[i]);
}

static inline void
v16_store_quads(int8_t *p, const v16 *v)
{
    for (int i = 0; i < 4 * SST_LANES; i++)
        p[i] = (int8_t) low_byte(&v[i % 4].f[i / 4]);
}

#define SST_TILE_ROWS 1         /* more would not fit into registers */
#define SST_TILE_PANELS 1
#define SST_PREFETCH 0

#endif
