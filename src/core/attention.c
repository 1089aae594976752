/*
 * attention.c - self-attention of one text, head by head.
 *
 * Both products are sst_gemm: a head's keys become panels of 16 tokens, its values panels of 16 dimensions, and
 * a block of queries goes through scores, softmax and contexts while it is in the cache.
 */
#include <math.h>
#include <string.h>

#include "forward.h"

#define QUERY_BLOCK 64          /* rows of scores at a time: 128 KB at 512 tokens */

size_t
sst_attention_scratch(const sst_shape *shape)
{
    size_t      tokens = sst_round_up(shape->positions);
    size_t      width = shape->hidden / shape->heads;

    return tokens * (1 + width) + sst_round_up(width) * (1 + tokens) + QUERY_BLOCK * tokens;
}

/*
 * Panels [1 + width][16 tokens] of k [tokens][ldk]: bias 0. Beyond the last token comes the last again, as 16 moves
 * without a test are fast; there the bias gives scores that softmax drops.
 */
static void
pack_keys(const float *k, size_t ldk, size_t tokens, size_t width, float *panels, const sst_tick *tick)
{
    for (size_t first = 0; first < tokens; first += SST_LANES)
    {
        const float *row[SST_LANES];

        for (size_t t = 0; t < SST_LANES; t++)
        {
            row[t] = k + (first + t < tokens ? first + t : tokens - 1) * ldk;
            panels[t] = first + t < tokens ? 0.0f : -INFINITY;
        }
        panels += SST_LANES;
        for (size_t i = 0; i < width; i++, panels += SST_LANES)
            SST_UNROLL for (size_t t = 0; t < SST_LANES; t++)
                panels[t] = row[t][i];
        sst_tick_call(tick);
    }
}

/* Panels [1 + tokens][16 dimensions] of v [tokens][ldv]: bias 0; dimensions beyond the head's are 0. */
static void
pack_values(const float *v, size_t ldv, size_t tokens, size_t width, float *panels, const sst_tick *tick)
{
    for (size_t first = 0; first < width; first += SST_LANES)
    {
        size_t      count = width - first < SST_LANES ? width - first : SST_LANES;

        memset(panels, 0, (count < SST_LANES ? 1 + tokens : 1) * SST_LANES * sizeof(float));
        panels += SST_LANES;
        for (size_t t = 0; t < tokens; t++, panels += SST_LANES)
            if (count == SST_LANES)     /* a copy of constant size is one instruction or two */
                memcpy(panels, v + t * ldv + first, SST_LANES * sizeof(float));
            else
                memcpy(panels, v + t * ldv + first, count * sizeof(float));
        sst_tick_call(tick);
    }
}

void
sst_attention(const sst_kernels *kernels, const sst_shape *shape, float *q, size_t rows,
              const float *k, const float *v, size_t tokens, float *scratch, const sst_tick *tick)
{
    const size_t d = shape->hidden;
    const size_t width = d / shape->heads;
    const size_t padded = sst_round_up(tokens);
    float      *keys = scratch;
    float      *values = keys + padded * (1 + width);
    float      *scores = values + sst_round_up(width) * (1 + tokens);

    for (size_t head = 0; head < d; head += width)
    {
        pack_keys(k + head, d, tokens, width, keys, tick);
        pack_values(v + head, d, tokens, width, values, tick);
        for (size_t row = 0; row < rows; row += QUERY_BLOCK)
        {
            size_t      count = rows - row < QUERY_BLOCK ? rows - row : QUERY_BLOCK;
            float      *block = q + row * d + head;

            sst_gemm(kernels, block, d, count, keys, width, padded, scores, padded, SST_STORE, tick);
            for (size_t r = 0; r < count; r++)
                kernels->softmax(scores + r * padded, padded);
            sst_gemm(kernels, scores, padded, count, values, tokens, width, block, d, SST_STORE, tick);
        }
    }
}
