/*
 * forward.h - the parts of the forward pass that forward.c puts together.
 */
#ifndef SST_FORWARD_H
#define SST_FORWARD_H

#include "kernels/kernels.h"

/*
 * y [rows][out] from x [rows][in] and panels (see sst_linear), both with leading dimensions; epilogue as in
 * kernels.h. y must not overlap x.
 */
extern void sst_gemm(const sst_kernels *kernels, const float *x, size_t ldx, size_t rows,
                     const float *panels, size_t in, size_t out, float *y, size_t ldy,
                     sst_epilogue epilogue, const sst_tick *tick);

/* Rows of int8 inputs that stay in the L2 cache: what sst_quantize and sst_gemm_s8 should be given at once, at most. */
extern size_t sst_s8_block(const sst_kernels *kernels, size_t in);

/* Bytes of a quantized row, for any table. */
static inline size_t
sst_s8_row_bytes(size_t in)
{
    return (in + SST_S8_MOST_FILL - 1) / SST_S8_MOST_FILL * SST_S8_MOST_FILL * sizeof(uint16_t);
}

/* A table's quantize or quantize_softmax. */
typedef void sst_quantizer(const float *x, size_t n, void *values, sst_row_scale *row);

/*
 * x [rows][in], with a leading dimension, in 8 bits, rows of sst_s8_row_bytes at most; scales [rows].
 */
extern void sst_quantize(const sst_kernels *kernels, sst_quantizer *quantize, const float *x, size_t ldx, size_t rows,
                         size_t in, void *values, sst_row_scale *scales);

/* As sst_gemm, from what sst_quantize made of as many rows, and int8 panels. */
extern void sst_gemm_s8(const sst_kernels *kernels, const void *x, const sst_row_scale *scales, size_t rows,
                        const sst_s8_panel *panels, size_t in, size_t out, float *y, size_t ldy,
                        sst_epilogue epilogue, const sst_tick *tick);

/* Bytes of scratch that sst_attention needs, aligned to 64. */
extern size_t sst_attention_scratch(const sst_shape *shape);

/*
 * Self-attention of one text: q [rows][D] becomes the heads' contexts, k and v [tokens][D]. The queries are
 * those of any of the text's tokens; they carry the factor 1/sqrt(D/H) already. In int8 models both products are of 8 bits.
 */
extern void sst_attention(const sst_kernels *kernels, const sst_shape *shape, float *q, size_t rows,
                          const float *k, const float *v, size_t tokens, void *scratch,
                          const sst_tick *tick);

/* tanh x, the same bits everywhere; within 0.5001 ulp. NaN where x is NaN. */
extern float sst_tanh(float x);

static inline size_t
sst_round_up(size_t n)
{
    return (n + SST_LANES - 1) / SST_LANES * SST_LANES;
}

#endif
