/*
 * kernels.h - the arithmetic that is written per CPU family, behind one table of pointers.
 *
 * The kernels hold arithmetic only; loops over shapes and blocks are in linear.c, attention.c and model.c. The
 * kernels are written once, in kernels_tmpl.h, over a type of 16 float lanes; kernels_<isa>.c give the type.
 */
#ifndef SST_KERNELS_H
#define SST_KERNELS_H

#include "sst.h"

#define SST_LANES 16            /* columns of a panel, and lanes of every sum over a row */
#define SST_MAX_TILE_ROWS 12    /* the most rows that any table's gemm takes at once */
#define SST_MAX_TILE_PANELS 2   /* and panels */

/* What gemm does with a finished sum. */
typedef enum sst_epilogue
{
    SST_STORE,                  /* y = sum */
    SST_ADD,                    /* y = y + sum: the residual */
    SST_GELU                    /* y = gelu(sum), gelu(x) = x (1 + erf(x / sqrt 2)) / 2 */
} sst_epilogue;

struct sst_kernels
{
    const char *name;
    int         tile_rows;      /* rows that gemm_f32 takes at most */
    int         tile_panels;    /* panels that it takes at most */

    /*
     * y [rows][panels * 16] from x [rows][k], both with leading dimensions, and panels of [1+k][16] one after the other.
     * Each sum is one fma chain: bias, k = 0, k = 1, ...
     */
    void        (*gemm_f32) (int rows, int panels, const float *x, size_t ldx, const float *w, size_t k,
                             float *y, size_t ldy, sst_epilogue epilogue);

    /* Layer norm of x [n] in place, eps 1e-12 inside the root. */
    void        (*layer_norm) (float *x, const float *weight, const float *bias, size_t n);

    /* Softmax of x [n] in place. x must have room for n rounded up to 16; what lies behind n is lost. */
    void        (*softmax) (float *x, size_t n);
};

extern const sst_kernels sst_kernels_c;
#if defined(__x86_64__)
extern const sst_kernels sst_kernels_avx2;
extern const sst_kernels sst_kernels_avx512;
#endif

#endif
