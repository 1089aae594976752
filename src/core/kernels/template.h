/*
 * template.h - the kernels, written once over v16, a value of 16 float lanes.
 *
 * A file that includes this defines before:
 *   SST_KERNELS       the table's name
 *   SST_ISA, SST_ISA_NAME    whose it is, and its name for people
 *   SST_TILE_ROWS, SST_TILE_PANELS   the tile of gemm_f32 that the registers hold
 *   SST_S8_ROWS, SST_S8_PANELS       that of gemm_s8
 *   SST_PREFETCH      bytes that weights are asked for ahead of their use
 *   v16 and v16_load, v16_store, v16_set1, v16_add, v16_sub, v16_mul, v16_fma (a * b + c, rounded
 *   once), v16_max (a > b ? a : b), v16_min (a < b ? a : b), v16_scale (see v16_exp2)
 *   s8_value          a quantized activation: uint8_t, or int16_t for products of 16 bits
 *   v16_first, v16_down   lane 0; lane i + n in lane i, for n = 8, 4, 2 or 1: what the highest lanes get is not said
 *   v16_store_values  the low bits of each lane as s8_value
 *   v16_store_quads   the low bytes of lane 0 of four values, of lane 1, ...
 *   v16i, s8_sums     16 exact sums, and how those of a tile of gemm_s8 are made (see c.c)
 *   v16_from_sums     sums - zero * column_sums, exact, as floats
 * and may define SST_OWN_GEMM_S8, where it has a gemm_s8 instead of s8_sums, SST_S8_FILL and SST_S8_SMALL, which are the
 * table's s8_fill and s8_small.
 *
 * Every operation is IEEE 754 single precision, rounded to nearest, so all instances give the same bits. Where a
 * lane is NaN, v16_max and v16_min return b: the argument order below lets NaN through to the logits.
 */
#include <math.h>
#include <string.h>

#include "kernels.h"

/* One value of 16 lanes: a binary tree, always over these halves. */
#define SST_FOLD(name, op) \
SST_INLINE float \
name(v16 v) \
{ \
    v = op(v, v16_down(v, 8)); \
    v = op(v, v16_down(v, 4)); \
    v = op(v, v16_down(v, 2)); \
    v = op(v, v16_down(v, 1)); \
    return v16_first(v); \
}

SST_FOLD(sum_lanes, v16_add)
SST_FOLD(least_lane, v16_min)
SST_FOLD(greatest_lane, v16_max)

/* The greatest of x [n], whole vectors, in all lanes. */
SST_INLINE v16
greatest(const float *x, size_t n)
{
    v16         lanes = v16_load(x);

    for (size_t i = SST_LANES; i < n; i += SST_LANES)
        lanes = v16_max(lanes, v16_load(x + i));
    return v16_set1(greatest_lane(lanes));
}

/* Load n < 16 floats; the other lanes are fill. */
SST_INLINE v16
load_part(const float *x, size_t n, float fill)
{
    float       a[SST_LANES];

    for (size_t i = 0; i < SST_LANES; i++)
        a[i] = i < n ? x[i] : fill;
    return v16_load(a);
}

/* The first n of 16 floats, n > 0; the other lanes are 0. */
SST_INLINE v16
load_up_to(const float *x, size_t n)
{
    return n >= SST_LANES ? v16_load(x) : load_part(x, n, 0.0f);
}

SST_INLINE void
store_part(float *x, size_t n, v16 v)
{
    float       a[SST_LANES];

    v16_store(a, v);
    memcpy(x, a, n * sizeof(float));
}

/*
 * 2^x for -126 <= x <= 0, or anything where x is NaN. Relative error below 2e-7 (checked in test/formulas.c).
 *
 * x = n + r with |r| <= 1/2: adding 1.5 * 2^23 rounds x to the integer n in the low bits of the sum. 2^r = 1 + r p(r), p of
 * degree 4: weighted minimax fit, 9.2e-8 relative.
 */
SST_INLINE v16
v16_exp2(v16 x)
{
    const v16   magic = v16_set1(12582912.0f);
    v16         n = v16_add(x, magic);
    v16         r = v16_sub(x, v16_sub(n, magic));
    v16         p = v16_set1(1.32646819e-3f);

    p = v16_fma(p, r, v16_set1(9.67155956e-3f));
    p = v16_fma(p, r, v16_set1(5.55073433e-2f));
    p = v16_fma(p, r, v16_set1(2.40222409e-1f));
    p = v16_fma(p, r, v16_set1(6.93147004e-1f));
    p = v16_fma(p, r, v16_set1(1.0f));
    return v16_scale(p, n);     /* p * 2^n: add the low bits of n to the exponent of p */
}

/*
 * exp(x) for x <= 0; about 1.2e-38 below -87. NaN where x is NaN: v16_scale takes the bits of a NaN for an integer, and
 * what it makes of them depends on which of two NaNs the CPU passes on. For other x, y * 0 is -0 and adds nothing.
 */
SST_INLINE v16
v16_exp(v16 x)
{
    v16         y = v16_max(v16_set1(-126.0f), v16_mul(x, v16_set1(1.44269504f)));

    return v16_add(v16_exp2(y), v16_mul(y, v16_set1(0.0f)));
}

/*
 * gelu(x) = max(x, 0) - a Q(a), a = |x|, where Q(a) = erfc(a / sqrt 2) / 2 is the normal distribution's tail: no
 * branch, and no cancellation for negative x. log2 Q is a polynomial of degree 7: minimax fit over 0 <= a <= 10
 * with weight a Q(a), so the absolute error of gelu is 2.7e-8 before rounding. Behind 10 a Q(a) is below 1e-18.
 */
SST_INLINE v16
v16_gelu(v16 x)
{
    const v16   zero = v16_set1(0.0f);
    v16         positive = v16_max(zero, x);
    v16         a = v16_min(v16_set1(10.0f), v16_max(v16_sub(zero, x), x));
    v16         p = v16_set1(3.15202556e-6f);

    p = v16_fma(p, a, v16_set1(2.93324092e-7f));
    p = v16_fma(p, a, v16_set1(-6.35928183e-4f));
    p = v16_fma(p, a, v16_set1(7.81070488e-3f));
    p = v16_fma(p, a, v16_set1(-5.31238057e-2f));
    p = v16_fma(p, a, v16_set1(-4.58928347e-1f));
    p = v16_fma(p, a, v16_set1(-1.15116286f));
    p = v16_fma(p, a, v16_set1(-9.99996126e-1f));
    return v16_fma(v16_sub(zero, a), v16_exp2(p), positive);
}

/* One tile of constant size, so that its sums live in registers. */
SST_INLINE void
gemm_tile(const int rows, const int panels, const float *x, size_t ldx, const float *w, size_t k,
          const char *ahead, float *y, size_t ldy, sst_epilogue epilogue)
{
    const size_t panel = (1 + k) * SST_LANES;
    v16         sum[SST_TILE_ROWS][SST_TILE_PANELS];

    SST_UNROLL for (int p = 0; p < panels; p++)
    {
        v16         bias = v16_load(w + p * panel);

        SST_UNROLL for (int r = 0; r < rows; r++)
            sum[r][p] = bias;
    }
    w += SST_LANES;
    for (size_t i = 0; i < k; i++, w += SST_LANES)
    {
        v16         column[SST_TILE_PANELS];

        __builtin_prefetch(ahead + i * sizeof(v16), 0, 2);
        SST_UNROLL for (int p = 0; p < panels; p++)
        {
            __builtin_prefetch((const char *) (w + p * panel) + SST_PREFETCH);
            column[p] = v16_load(w + p * panel);
        }
        SST_UNROLL for (int r = 0; r < rows; r++)
        {
            v16         a = v16_set1(x[r * ldx + i]);

            SST_UNROLL for (int p = 0; p < panels; p++)
                sum[r][p] = v16_fma(a, column[p], sum[r][p]);
        }
    }
    SST_UNROLL for (int r = 0; r < rows; r++)
        SST_UNROLL for (int p = 0; p < panels; p++)
        {
            float      *to = y + r * ldy + p * SST_LANES;

            if (epilogue == SST_ADD)
                sum[r][p] = v16_add(v16_load(to), sum[r][p]);
            v16_store(to, sum[r][p]);
        }
}

/* Choose the tile's code by its number of rows; the compiler makes one copy for each that the tile has. */
#define SST_CASE(n, most, call) \
    case n: \
        if (n <= most) \
            call; \
        break
#define SST_CASES(most, call) \
    SST_CASE(1, most, call(1)); \
    SST_CASE(2, most, call(2)); \
    SST_CASE(3, most, call(3)); \
    SST_CASE(4, most, call(4)); \
    SST_CASE(5, most, call(5)); \
    SST_CASE(6, most, call(6)); \
    SST_CASE(7, most, call(7)); \
    SST_CASE(8, most, call(8)); \
    SST_CASE(9, most, call(9)); \
    SST_CASE(10, most, call(10)); \
    SST_CASE(11, most, call(11)); \
    SST_CASE(12, most, call(12))

SST_INLINE void
gemm_rows(int rows, const int panels, const float *x, size_t ldx, const float *w, size_t k,
          const char *ahead, float *y, size_t ldy, sst_epilogue epilogue)
{
#define CALL(n) gemm_tile(n, panels, x, ldx, w, k, ahead, y, ldy, epilogue)
    switch (rows)
    {
        SST_CASES(SST_TILE_ROWS, CALL);
    }
#undef CALL
}

static void
gemm_f32(int rows, int panels, const float *x, size_t ldx, const float *w, size_t k,
         const char *ahead, float *y, size_t ldy, sst_epilogue epilogue)
{
    if (panels == 1)
        gemm_rows(rows, 1, x, ldx, w, k, ahead, y, ldy, epilogue);
    else
        gemm_rows(rows, SST_TILE_PANELS, x, ldx, w, k, ahead, y, ldy, epilogue);
}

#include "template_s8.h"

/* ---- rows ------------------------------------------------------------------------------------ */

SST_INLINE v16
norm_lanes(v16 x, v16 mean, v16 scale, v16 weight, v16 bias)
{
    return v16_fma(v16_mul(v16_sub(x, mean), scale), weight, bias);
}

static void
layer_norm(float *x, const float *weight, const float *bias, size_t n)
{
    const size_t part = n % SST_LANES;
    const size_t whole = n - part;
    v16         lanes = v16_set1(0.0f);
    v16         scale;
    float       mean;

    for (size_t i = 0; i < whole; i += SST_LANES)
        lanes = v16_add(lanes, v16_load(x + i));
    if (part)
        lanes = v16_add(lanes, load_part(x + whole, part, 0.0f));
    mean = sum_lanes(lanes) / (float) n;

    lanes = v16_set1(0.0f);
    for (size_t i = 0; i < whole; i += SST_LANES)
    {
        v16         d = v16_sub(v16_load(x + i), v16_set1(mean));

        lanes = v16_fma(d, d, lanes);
    }
    if (part)
    {
        v16         d = v16_sub(load_part(x + whole, part, mean), v16_set1(mean));

        lanes = v16_fma(d, d, lanes);
    }
    scale = v16_set1(1.0f / sqrtf(sum_lanes(lanes) / (float) n + 1e-12f));

    for (size_t i = 0; i < whole; i += SST_LANES)
        v16_store(x + i, norm_lanes(v16_load(x + i), v16_set1(mean), scale, v16_load(weight + i),
                                    v16_load(bias + i)));
    if (part)
        store_part(x + whole, part,
                   norm_lanes(load_part(x + whole, part, mean), v16_set1(mean), scale,
                              load_part(weight + whole, part, 0.0f), load_part(bias + whole, part, 0.0f)));
}

static void
gelu(float *x, size_t n)
{
    size_t      i = 0;

    for (; i + SST_LANES <= n; i += SST_LANES)
        v16_store(x + i, v16_gelu(v16_load(x + i)));
    if (i < n)
        store_part(x + i, n - i, v16_gelu(load_part(x + i, n - i, 0.0f)));
}

static void
softmax(float *x, size_t n)
{
    const v16   top = greatest(x, n);
    v16         lanes = v16_set1(0.0f);
    v16         scale;

    for (size_t i = 0; i < n; i += SST_LANES)
    {
        v16         e = v16_exp(v16_sub(v16_load(x + i), top));

        lanes = v16_add(lanes, e);
        v16_store(x + i, e);
    }
    scale = v16_set1(1.0f / sum_lanes(lanes));
    for (size_t i = 0; i < n; i += SST_LANES)
        v16_store(x + i, v16_mul(v16_load(x + i), scale));
}

#ifndef SST_S8_FILL
#define SST_S8_FILL 4
#endif
#ifndef SST_S8_SMALL
#define SST_S8_SMALL NULL
#endif

const sst_kernels SST_KERNELS = {
    .isa = SST_ISA,
    .name = SST_ISA_NAME,
    .f32 = {SST_TILE_ROWS, SST_TILE_PANELS},
    .s8 = {SST_S8_ROWS, SST_S8_PANELS},
    .s8_value_bytes = sizeof(s8_value),
    .s8_fill = SST_S8_FILL,
    .s8_small = SST_S8_SMALL,
    .gemm_f32 = gemm_f32,
    .quantize = quantize,
    .quantize_softmax = quantize_softmax,
    .quantize_column = quantize_column,
    .quantize_panel = quantize_panel,
    .gemm_s8 = gemm_s8,
    .layer_norm = layer_norm,
    .gelu = gelu,
    .softmax = softmax,
};
