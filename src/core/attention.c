/*
 * attention.c - self-attention of one text, head by head.
 *
 * Both products are sst_gemm, or in int8 models sst_gemm_s8: a head's keys become panels of 16 tokens, its values panels
 * of 16 dimensions, and a block of queries goes through scores, softmax and contexts while it is in the cache.
 */
#include <math.h>
#include <string.h>

#include "forward.h"

#define QUERY_BLOCK 64          /* rows of scores at a time: 128 KB at 512 tokens */

/* One text's attention, and where a head of it is worked out. */
typedef struct attention
{
    const sst_kernels *kernels;
    const sst_tick *tick;
    sst_precision precision;
    size_t      hidden;         /* D: from one row of q, k and v to the next */
    size_t      width;          /* of a head */
    size_t      tokens;
    size_t      padded;         /* tokens rounded up to 16 */
    void       *keys;           /* panels of width inputs, a column for each of padded tokens */
    void       *values;         /* panels of padded inputs, a column for each of width dimensions */
    float      *scores;         /* [QUERY_BLOCK][padded] */
    void       *quantized;      /* [QUERY_BLOCK][width or padded] in 8 bits */
    sst_row_scale *scales;      /* [QUERY_BLOCK] */
} attention;

/* Cuts the scratch, or none, into its parts; returns the bytes that they take. All but the last are multiples of 64. */
static size_t
cut_scratch(attention *a, unsigned char *scratch)
{
    const size_t rows = a->precision == SST_INT8 ? QUERY_BLOCK : 0;
    const size_t inputs = a->padded > a->width ? a->padded : a->width;  /* of a row of 8 bits */
    struct
    {
        void      **part;
        size_t      bytes;
    }           parts[] = {
        {&a->keys, a->padded / SST_LANES * sst_panel_bytes(a->precision, a->width)},
        {&a->values, sst_round_up(a->width) / SST_LANES * sst_panel_bytes(a->precision, a->padded)},
        {(void **) &a->scores, QUERY_BLOCK * a->padded * sizeof(float)},
        {&a->quantized, rows * sst_s8_row_bytes(inputs)},
        {(void **) &a->scales, rows * sizeof(sst_row_scale)},
    };
    size_t      used = 0;

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
    {
        *parts[i].part = scratch ? scratch + used : NULL;
        used += parts[i].bytes;
    }
    return used;
}

/*
 * Panels [1 + width][16 tokens] of k [tokens][D]: bias 0. Beyond the last token comes the last again, as 16 moves
 * without a test are fast; there the bias gives scores that softmax drops.
 */
static void
pack_keys(const attention *a, const float *k)
{
    const size_t tokens = a->tokens;
    float      *panels = a->keys;

    for (size_t first = 0; first < tokens; first += SST_LANES)
    {
        const float *row[SST_LANES];

        for (size_t t = 0; t < SST_LANES; t++)
        {
            row[t] = k + (first + t < tokens ? first + t : tokens - 1) * a->hidden;
            panels[t] = first + t < tokens ? 0.0f : -INFINITY;
        }
        panels += SST_LANES;
        for (size_t i = 0; i < a->width; i++, panels += SST_LANES)
            SST_UNROLL for (size_t t = 0; t < SST_LANES; t++)
                panels[t] = row[t][i];
        sst_tick_call(a->tick);
    }
}

/* Panels [1 + tokens][16 dimensions] of v [tokens][D]: bias 0; dimensions beyond the head's are 0. */
static void
pack_values(const attention *a, const float *v)
{
    const size_t tokens = a->tokens;
    float      *panels = a->values;

    for (size_t first = 0; first < a->width; first += SST_LANES)
    {
        size_t      count = a->width - first < SST_LANES ? a->width - first : SST_LANES;

        memset(panels, 0, (count < SST_LANES ? 1 + tokens : 1) * SST_LANES * sizeof(float));
        panels += SST_LANES;
        for (size_t t = 0; t < tokens; t++, panels += SST_LANES)
            if (count == SST_LANES)     /* a copy of constant size is one instruction or two */
                memcpy(panels, v + t * a->hidden + first, SST_LANES * sizeof(float));
            else
                memcpy(panels, v + t * a->hidden + first, count * sizeof(float));
        sst_tick_call(a->tick);
    }
}

/*
 * Asks for a head's part of the rows that come next, if any: they lie D apart, steps that the CPU does not foresee, and
 * those of long texts do not all stay in the L2 cache.
 */
static void
fetch_rows(const attention *a, const float *x, size_t rows)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < a->width; i += SST_LANES)
            __builtin_prefetch(x + r * a->hidden + i);
}

/* The same in 8 bits: a key is a column with a scale of its own. */
static void
pack_keys_s8(const attention *a, const float *k)
{
    const size_t bytes = sst_panel_bytes(SST_INT8, a->width);
    char       *panels = a->keys;

    for (size_t first = 0; first < a->padded; first += SST_LANES, panels += bytes)
    {
        sst_s8_panel *panel = (sst_s8_panel *) panels;
        size_t      count = a->tokens - first < SST_LANES ? a->tokens - first : SST_LANES;

        fetch_rows(a, k + (first + count) * a->hidden, SST_LANES);
        if (count < SST_LANES)
            memset(panel, 0, bytes);
        for (size_t t = 0; t < count; t++)
            a->kernels->quantize_column(k + (first + t) * a->hidden, a->width, panel, t);
        for (size_t t = count; t < SST_LANES; t++)
            panel->bias[t] = -INFINITY;
        sst_tick_call(a->tick);
    }
}

/* A dimension is a column with a scale and a mean of its own; rows beyond the last token are 0. */
static void
pack_values_s8(const attention *a, const float *v)
{
    const size_t bytes = sst_panel_bytes(SST_INT8, a->padded);
    const size_t quads = (a->tokens + 3) / 4;
    char       *panels = a->values;

    for (size_t first = 0; first < a->width; first += SST_LANES, panels += bytes)
    {
        sst_s8_panel *panel = (sst_s8_panel *) panels;

        a->kernels->quantize_panel(v + first, a->hidden, a->tokens, a->width - first, panel);
        memset(panel->weights + quads * 4 * SST_LANES, 0, (a->padded - quads * 4) * SST_LANES);
        sst_tick_call(a->tick);
    }
}

/* q [rows][width] with leading dimension D becomes its contexts. */
static void
attend_f32(const attention *a, float *q, size_t rows)
{
    sst_gemm(a->kernels, q, a->hidden, rows, a->keys, a->width, a->padded, a->scores, a->padded, SST_STORE, a->tick);
    for (size_t r = 0; r < rows; r++)
        a->kernels->softmax(a->scores + r * a->padded, a->padded);
    sst_gemm(a->kernels, a->scores, a->padded, rows, a->values, a->tokens, a->width, q, a->hidden, SST_STORE, a->tick);
}

static void
attend_s8(const attention *a, float *q, size_t rows)
{
    sst_quantize(a->kernels, a->kernels->quantize, q, a->hidden, rows, a->width, a->quantized, a->scales);
    fetch_rows(a, q + rows * a->hidden, rows);
    sst_gemm_s8(a->kernels, a->quantized, a->scales, rows, a->keys, a->width, a->padded, a->scores, a->padded, SST_STORE,
                a->tick);
    sst_quantize(a->kernels, a->kernels->quantize_softmax, a->scores, a->padded, rows, a->padded, a->quantized, a->scales);
    sst_gemm_s8(a->kernels, a->quantized, a->scales, rows, a->values, a->padded, a->width, q, a->hidden, SST_STORE, a->tick);
}

size_t
sst_attention_scratch(const sst_shape *shape)
{
    attention   a = {
        .precision = shape->precision, .width = shape->hidden / shape->heads, .padded = sst_round_up(shape->positions)
    };

    return cut_scratch(&a, NULL);
}

void
sst_attention(const sst_kernels *kernels, const sst_shape *shape, float *q, size_t rows,
              const float *k, const float *v, size_t tokens, void *scratch, const sst_tick *tick)
{
    attention   a = {
        .kernels = kernels, .tick = tick, .precision = shape->precision, .hidden = shape->hidden,
        .width = shape->hidden / shape->heads, .tokens = tokens, .padded = sst_round_up(tokens)
    };

    cut_scratch(&a, scratch);
    for (size_t head = 0; head < a.hidden; head += a.width)
    {
        if (a.precision == SST_INT8)
        {
            pack_keys_s8(&a, k + head);
            pack_values_s8(&a, v + head);
        }
        else
        {
            pack_keys(&a, k + head);
            pack_values(&a, v + head);
        }
        for (size_t row = 0; row < rows; row += QUERY_BLOCK)
        {
            size_t      count = rows - row < QUERY_BLOCK ? rows - row : QUERY_BLOCK;

            (a.precision == SST_INT8 ? attend_s8 : attend_f32) (&a, q + row * a.hidden + head, count);
        }
    }
}
