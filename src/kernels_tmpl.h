/*
 * kernels_tmpl.h - the kernels, written once over v16, a value of 16 float lanes.
 *
 * A file that includes this defines before:
 *   SST_KERNELS       the table's name
 *   SST_ISA_NAME      its name for people
 *   SST_TILE_ROWS, SST_TILE_PANELS   the tile of gemm_f32 that the registers hold
 *   v16 and v16_load, v16_store, v16_set1, v16_add, v16_sub, v16_mul, v16_div, v16_fma (a * b + c, rounded
 *   once), v16_max (a > b ? a : b), v16_min (a < b ? a : b), v16_scale (see v16_exp)
 *
 * Every operation is IEEE 754 single precision, rounded to nearest, so all instances give the same bits. Where a
 * lane is NaN, v16_max and v16_min return b: the argument order below lets NaN through to the logits.
 */
#include <math.h>
#include <string.h>

#include "kernels.h"

#if defined(__clang__)
#define SST_UNROLL              /* clang unrolls loops of constant size anyway */
#else
#define SST_UNROLL _Pragma("GCC unroll 16")     /* without it gcc -O2 spills the accumulators */
#endif
#define SST_INLINE static inline __attribute__((always_inline))

/* The 16 lanes' sum, always in this order: a binary tree over halves. */
SST_INLINE float
sum_lanes(v16 v)
{
    float       a[SST_LANES];

    v16_store(a, v);
    for (int half = SST_LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            a[i] += a[i + half];
    return a[0];
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

SST_INLINE void
store_part(float *x, size_t n, v16 v)
{
    float       a[SST_LANES];

    v16_store(a, v);
    memcpy(x, a, n * sizeof(float));
}

/*
 * exp(x) for x <= 0; about 1.2e-38 below -87. Relative error below 1e-7 (checked in test/unit.c).
 *
 * x = n ln 2 + r with |r| <= ln 2 / 2 by the usual trick: adding 1.5 * 2^23 rounds x / ln 2 to the integer n in the
 * low bits of the sum. exp(r) = 1 + r + r^2 p(r), p of degree 4: weighted minimax fit over |r| <= 0.3466.
 */
SST_INLINE v16
v16_exp(v16 x)
{
    const v16   magic = v16_set1(12582912.0f);
    v16         t,
                n,
                r,
                p;

    x = v16_max(v16_set1(-87.0f), x);
    t = v16_fma(x, v16_set1(1.44269504f), magic);
    n = v16_sub(t, magic);
    r = v16_fma(n, v16_set1(-0.693359375f), x);     /* ln 2 in two parts, the first exact in 9 bits */
    r = v16_fma(n, v16_set1(2.12194440e-4f), r);
    p = v16_set1(1.3814609e-3f);
    p = v16_fma(p, r, v16_set1(8.3687175e-3f));
    p = v16_fma(p, r, v16_set1(4.1668389e-2f));
    p = v16_fma(p, r, v16_set1(1.6666521e-1f));
    p = v16_fma(p, r, v16_set1(4.9999994e-1f));
    p = v16_fma(p, v16_mul(r, r), r);
    p = v16_add(p, v16_set1(1.0f));
    return v16_scale(p, t);     /* p * 2^n: add the low bits of t to the exponent of p */
}

/*
 * gelu(x) = max(x, 0) - a Q(a), a = |x|, where Q(a) = erfc(a / sqrt 2) / 2 is the normal distribution's tail: no
 * branch, and no cancellation for negative x. ln Q is a polynomial of degree 8: minimax fit over 0 <= a <= 10
 * with weight a Q(a), so the absolute error of gelu is 1.1e-8 before rounding. Behind 10 a Q(a) is below 1e-22.
 */
SST_INLINE v16
v16_gelu(v16 x)
{
    const v16   zero = v16_set1(0.0f);
    v16         positive = v16_max(zero, x);
    v16         a = v16_min(v16_set1(10.0f), v16_max(v16_sub(zero, x), x));
    v16         p = v16_set1(-8.6231734e-7f);

    p = v16_fma(p, a, v16_set1(1.3507035e-5f));
    p = v16_fma(p, a, v16_set1(-5.9717640e-5f));
    p = v16_fma(p, a, v16_set1(-2.7579372e-4f));
    p = v16_fma(p, a, v16_set1(5.1593911e-3f));
    p = v16_fma(p, a, v16_set1(-3.6601972e-2f));
    p = v16_fma(p, a, v16_set1(-3.1820664e-1f));
    p = v16_fma(p, a, v16_set1(-7.9790354e-1f));
    p = v16_fma(p, a, v16_set1(-6.9314599e-1f));
    return v16_sub(positive, v16_mul(a, v16_exp(p)));
}

/* One tile of constant size, so that its sums live in registers. */
SST_INLINE void
gemm_tile(const int rows, const int panels, const float *x, size_t ldx, const float *w, size_t k,
          float *y, size_t ldy, sst_epilogue epilogue)
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

        SST_UNROLL for (int p = 0; p < panels; p++)
        {
            __builtin_prefetch(w + p * panel + SST_PREFETCH);
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
    if (epilogue == SST_GELU)
        for (int r = 0; r < rows; r++)
            for (int p = 0; p < panels; p++)
            {
                float      *to = y + r * ldy + p * SST_LANES;

                v16_store(to, v16_gelu(v16_load(to)));
            }
}

/* Choose the tile's code by its number of rows; the compiler makes one copy of gemm_tile for each. */
SST_INLINE void
gemm_rows(int rows, const int panels, const float *x, size_t ldx, const float *w, size_t k,
          float *y, size_t ldy, sst_epilogue epilogue)
{
#define SST_CASE(n) \
    case n: \
        if (n <= SST_TILE_ROWS) \
            gemm_tile(n, panels, x, ldx, w, k, y, ldy, epilogue); \
        break

    switch (rows)
    {
        SST_CASE(1);
        SST_CASE(2);
        SST_CASE(3);
        SST_CASE(4);
        SST_CASE(5);
        SST_CASE(6);
        SST_CASE(7);
        SST_CASE(8);
        SST_CASE(9);
        SST_CASE(10);
        SST_CASE(11);
        SST_CASE(12);
    }
#undef SST_CASE
}

static void
gemm_f32(int rows, int panels, const float *x, size_t ldx, const float *w, size_t k,
         float *y, size_t ldy, sst_epilogue epilogue)
{
    if (panels == 1)
        gemm_rows(rows, 1, x, ldx, w, k, y, ldy, epilogue);
    else
        gemm_rows(rows, SST_TILE_PANELS, x, ldx, w, k, y, ldy, epilogue);
}

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
softmax(float *x, size_t n)
{
    const size_t padded = (n + SST_LANES - 1) / SST_LANES * SST_LANES;
    v16         lanes;
    v16         top,
                scale;
    float       a[SST_LANES];

    for (size_t i = n; i < padded; i++)
        x[i] = -INFINITY;       /* exp makes this 1e-38, nothing beside a sum of at least 1 */
    lanes = v16_load(x);
    for (size_t i = SST_LANES; i < padded; i += SST_LANES)
        lanes = v16_max(lanes, v16_load(x + i));
    v16_store(a, lanes);
    for (int i = 1; i < SST_LANES; i++)
        a[0] = a[0] > a[i] ? a[0] : a[i];
    top = v16_set1(a[0]);

    lanes = v16_set1(0.0f);
    for (size_t i = 0; i < padded; i += SST_LANES)
    {
        v16         e = v16_exp(v16_sub(v16_load(x + i), top));

        lanes = v16_add(lanes, e);
        v16_store(x + i, e);
    }
    scale = v16_set1(1.0f / sum_lanes(lanes));
    for (size_t i = 0; i < padded; i += SST_LANES)
        v16_store(x + i, v16_mul(v16_load(x + i), scale));
}

const sst_kernels SST_KERNELS = {
    .name = SST_ISA_NAME,
    .tile_rows = SST_TILE_ROWS,
    .tile_panels = SST_TILE_PANELS,
    .gemm_f32 = gemm_f32,
    .layer_norm = layer_norm,
    .softmax = softmax,
};
