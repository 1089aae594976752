/*
 * kernels.h - the arithmetic that is written per CPU family, behind one table of pointers.
 *
 * The kernels hold arithmetic only; loops over shapes and blocks are in linear.c, attention.c and forward.c. The
 * kernels are written once, in template.h and template_s8.h, over a type of 16 float lanes; <isa>.c give the type.
 */
#ifndef SST_KERNELS_H
#define SST_KERNELS_H

#include "../sst.h"

#define SST_LANES 16            /* columns of a panel, and lanes of every sum over a row */
#define SST_MAX_TILE_ROWS 12    /* of a tile whose sums are in registers */
#define SST_S8_MOST_FILL 64     /* of any table */

/* What gemm does with a finished sum. */
typedef enum sst_epilogue
{
    SST_STORE,                  /* y = sum */
    SST_ADD                     /* y = y + sum: the residual */
} sst_epilogue;

/* A row of activations in 8 bits: x = scale * (u - zero), u 0..255. */
typedef struct sst_row_scale
{
    float       scale;
    int32_t     zero;           /* 0..255 */
} sst_row_scale;

/* How many rows and panels a gemm takes at once at most. */
typedef struct sst_tile
{
    int         rows;
    int         panels;
} sst_tile;

/* The beginning of a panel in int8; [ceil(K/4)][16][4] int8 follow, each column's weights beyond K 0. */
typedef struct sst_s8_panel
{
    float       bias[SST_LANES];
    float       scale[SST_LANES];   /* of a column: weight = scale * int8 */
    int32_t     sum[SST_LANES]; /* of a column's int8 */
    int8_t      weights[];
} sst_s8_panel;

/* Bytes of a panel of k inputs. */
static inline size_t
sst_panel_bytes(sst_precision precision, size_t k)
{
    if (precision == SST_INT8)
        return sizeof(sst_s8_panel) + (k + 3) / 4 * 4 * SST_LANES;
    return (1 + k) * SST_LANES * sizeof(float);
}

struct sst_kernels
{
    sst_isa     isa;
    const char *name;
    sst_tile    f32;            /* of gemm_f32 */
    sst_tile    s8;             /* of gemm_s8 */
    size_t      s8_value_bytes; /* of a quantized activation: 1, or 2 where products are of 16 bits */
    size_t      s8_fill;        /* quantized rows lie a multiple of so many values apart: 4 or more */
    const sst_kernels *s8_small;    /* whose gemm_s8 is faster for small products, of the same rows; or NULL */

    /*
     * y [rows][panels * 16] from x [rows][k], both with leading dimensions, and panels of [1+k][16] one after the other.
     * Each sum is one fma chain: bias, k = 0, k = 1, ... Meanwhile a panel's worth of bytes from ahead on is
     * fetched into the L2 cache.
     */
    void        (*gemm_f32) (int rows, int panels, const float *x, size_t ldx, const float *w, size_t k,
                             const char *ahead, float *y, size_t ldy, sst_epilogue epilogue);

    /* x [n] in 8 bits, filled up to a multiple of 4, and their scale: the row's range, 0 included, in 255 steps. */
    void        (*quantize) (const float *x, size_t n, void *values, sst_row_scale *row);

    /* The softmax of x [n] in 8 bits; its largest is 255, its zero 0. n as for softmax. */
    void        (*quantize_softmax) (const float *x, size_t n, void *values, sst_row_scale *row);

    /* A column of a panel of n inputs from x [n]: weights of -127..127, bias 0. */
    void        (*quantize_column) (const float *x, size_t n, sst_s8_panel *panel, size_t column);

    /*
     * A panel of n inputs from x [n][columns] with a leading dimension; columns beyond these are 0. A column's bias is its
     * mean, its weights are the rest: for inputs whose sum is 1, as those of quantize_softmax. What these lose by rounding
     * many small ones to 0 then goes to the mean, and not to 0.
     */
    void        (*quantize_panel) (const float *x, size_t ldx, size_t n, size_t columns, sst_s8_panel *panel);

    /*
     * As gemm_f32, from rows that quantize made and panels that begin with sst_s8_panel. The products are summed exactly,
     * in 32 bits; then y = fma((float) (sum - zero * column sum), row scale * column scale, bias).
     */
    void        (*gemm_s8) (int rows, int panels, const void *x, size_t ldx, const sst_row_scale *scales, const void *w,
                            size_t k, const char *ahead, float *y, size_t ldy, sst_epilogue epilogue);

    /* Layer norm of x [n] in place, eps 1e-12 inside the root. */
    void        (*layer_norm) (float *x, const float *weight, const float *bias, size_t n);

    /* gelu(x) = x (1 + erf(x / sqrt 2)) / 2 of x [n] in place. */
    void        (*gelu) (float *x, size_t n);

    /* Softmax of x [n] in place; n is a multiple of 16. -INFINITY gives 1e-38 at most: it fills a row up. */
    void        (*softmax) (float *x, size_t n);
};

#if defined(__clang__)
#define SST_UNROLL              /* clang unrolls loops of constant size anyway */
#else
#define SST_UNROLL _Pragma("GCC unroll 16")     /* without it gcc -O2 spills the accumulators */
#endif
#define SST_INLINE static inline __attribute__((always_inline))

/* What old compilers and their assemblers do not know is left out. */
#if defined(__x86_64__)
#if __has_include(<avxvnniintrin.h>)
#define SST_HAS_AVXVNNI
#endif
#if defined(__linux__) && (__has_include(<amxint8intrin.h>) || __has_include(<amxintrin.h>))    /* gcc's and clang's */
#define SST_HAS_AMXINT8
#endif
#elif defined(__aarch64__) && (defined(__clang__) || __GNUC__ >= 10)
#define SST_HAS_NEONI8MM
#endif

extern const sst_kernels sst_kernels_c;
extern const sst_kernels sst_kernels_avx2;
extern const sst_kernels sst_kernels_avxvnni;
extern const sst_kernels sst_kernels_avx512;
extern const sst_kernels sst_kernels_avx512vnni;
extern const sst_kernels sst_kernels_amxint8;
extern const sst_kernels sst_kernels_neon;
extern const sst_kernels sst_kernels_neondot;
extern const sst_kernels sst_kernels_neoni8mm;

#endif
