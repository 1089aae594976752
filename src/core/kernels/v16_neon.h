/*
 * v16_neon.h - v16 as four NEON registers. A tile of 6 rows and one panel takes 24 of the 32 registers.
 */
#ifndef V16_NEON_H
#define V16_NEON_H

#include <arm_neon.h>

#include "kernels.h"

typedef struct
{
    float32x4_t a,
                b,
                c,
                d;
} v16;

typedef struct
{
    int32x4_t   a,
                b,
                c,
                d;
} v16i;

typedef uint8_t s8_value;

static inline v16
v16_load(const float *p)
{
    return (v16) {vld1q_f32(p), vld1q_f32(p + 4), vld1q_f32(p + 8), vld1q_f32(p + 12)};
}

static inline void
v16_store(float *p, v16 v)
{
    vst1q_f32(p, v.a);
    vst1q_f32(p + 4, v.b);
    vst1q_f32(p + 8, v.c);
    vst1q_f32(p + 12, v.d);
}

static inline v16
v16_set1(float f)
{
    return (v16) {vdupq_n_f32(f), vdupq_n_f32(f), vdupq_n_f32(f), vdupq_n_f32(f)};
}

/* vmaxq and vminq would return NaN where either lane is NaN. */
static inline float32x4_t
max_quarter(float32x4_t x, float32x4_t y)
{
    return vbslq_f32(vcgtq_f32(x, y), x, y);
}

static inline float32x4_t
min_quarter(float32x4_t x, float32x4_t y)
{
    return vbslq_f32(vcltq_f32(x, y), x, y);
}

/* p * 2^n, where n is in the low bits of t. */
static inline float32x4_t
scale_quarter(float32x4_t p, float32x4_t t)
{
    return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(p), vshlq_n_s32(vreinterpretq_s32_f32(t), 23)));
}

#define ALL_QUARTERS(name, op) \
    static inline v16 name(v16 x, v16 y) { return (v16) {op(x.a, y.a), op(x.b, y.b), op(x.c, y.c), op(x.d, y.d)}; }

ALL_QUARTERS(v16_add, vaddq_f32)
ALL_QUARTERS(v16_sub, vsubq_f32)
ALL_QUARTERS(v16_mul, vmulq_f32)
ALL_QUARTERS(v16_max, max_quarter)
ALL_QUARTERS(v16_min, min_quarter)
ALL_QUARTERS(v16_scale, scale_quarter)

static inline v16
v16_fma(v16 x, v16 y, v16 z)
{
    return (v16) {vfmaq_f32(z.a, x.a, y.a), vfmaq_f32(z.b, x.b, y.b), vfmaq_f32(z.c, x.c, y.c),
        vfmaq_f32(z.d, x.d, y.d)};
}

static inline float
v16_first(v16 v)
{
    return vgetq_lane_f32(v.a, 0);
}

static inline v16
v16_down(v16 v, const int n)
{
    if (n == 8)
        return (v16) {v.c, v.d, v.c, v.d};
    if (n == 4)
        return (v16) {v.b, v.b, v.c, v.d};
    if (n == 2)
        return (v16) {vextq_f32(v.a, v.a, 2), v.b, v.c, v.d};
    return (v16) {vextq_f32(v.a, v.a, 1), v.b, v.c, v.d};
}

static inline float32x4_t
from_quarter(int32x4_t sums, int32_t zero, const int32_t *column_sums)
{
    return vcvtq_f32_s32(vmlsq_n_s32(sums, vld1q_s32(column_sums), zero));
}

/* The sums are of activations less 128: see signed_quad. */
static inline v16
v16_from_sums(v16i sums, int32_t zero, const int32_t *column_sums)
{
    zero -= 128;
    return (v16) {from_quarter(sums.a, zero, column_sums), from_quarter(sums.b, zero, column_sums + 4),
        from_quarter(sums.c, zero, column_sums + 8), from_quarter(sums.d, zero, column_sums + 12)};
}

/* The low 16 bits of each of 8 lanes. */
static inline uint16x8_t
low_halves(float32x4_t x, float32x4_t y)
{
    return vcombine_u16(vmovn_u32(vreinterpretq_u32_f32(x)), vmovn_u32(vreinterpretq_u32_f32(y)));
}

static inline void
v16_store_values(s8_value *p, v16 v)
{
    vst1q_u8(p, vcombine_u8(vmovn_u16(low_halves(v.a, v.b)), vmovn_u16(low_halves(v.c, v.d))));
}

/* Each insertion keeps the lower bytes. */
static inline int8x16_t
quarter_quads(float32x4_t a, float32x4_t b, float32x4_t c, float32x4_t d)
{
    uint32x4_t  quads = vsliq_n_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b), 8);

    quads = vsliq_n_u32(quads, vreinterpretq_u32_f32(c), 16);
    return vreinterpretq_s8_u32(vsliq_n_u32(quads, vreinterpretq_u32_f32(d), 24));
}

static inline void
v16_store_quads(int8_t *p, const v16 *v)
{
    vst1q_s8(p, quarter_quads(v[0].a, v[1].a, v[2].a, v[3].a));
    vst1q_s8(p + 16, quarter_quads(v[0].b, v[1].b, v[2].b, v[3].b));
    vst1q_s8(p + 32, quarter_quads(v[0].c, v[1].c, v[2].c, v[3].c));
    vst1q_s8(p + 48, quarter_quads(v[0].d, v[1].d, v[2].d, v[3].d));
}

/* The four bytes at x less 128, as signed bytes side by side: NEON multiplies bytes of the same sign only. */
static inline int32_t
signed_quad(const s8_value *x)
{
    int32_t     quad;

    __builtin_memcpy(&quad, x, sizeof(quad));
    return quad ^ (int32_t) 0x80808080;
}

#define SST_TILE_ROWS 6
#define SST_TILE_PANELS 1
#define SST_PREFETCH 1024

#endif
