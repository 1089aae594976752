/*
 * words.c - the word embeddings' rows: their values as floats, and their checksums.
 *
 * The conversions use integer operations, and sums and products of normal floats. So they give the same bits on every CPU, even
 * if somebody has told it to take denormal numbers for 0.
 */
#include <string.h>

#include "packed.h"

static inline float
float_of_bits(uint32_t bits)
{
    float       value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* Half precision: 1 bit of sign, 5 of exponent + 15, 10 of fraction. Takes infinities and NaN for finite: none is ever packed. */
static inline float
float_of_half(uint16_t half)
{
    const uint32_t sign = (uint32_t) (half & 0x8000) << 16;
    const uint32_t bits = (uint32_t) (half & 0x7fff) << 13;
    const float denormal = float_of_bits(bits | 113u << 23) - 0x1p-14f;
    uint32_t    value;

    memcpy(&value, &denormal, sizeof(value));
    return float_of_bits(sign | (half & 0x7c00 ? bits + (112u << 23) : value));
}

size_t
sst_word_bytes(const sst_shape *shape)
{
    const size_t d = shape->hidden;

    switch (shape->words)
    {
        case SST_WORDS_F32:
            return d * sizeof(float);
        case SST_WORDS_S8:
            return sizeof(float) + (d + 3) / 4 * 4;
        default:
            return (d + 1) / 2 * 2 * sizeof(uint16_t);
    }
}

static const unsigned char *
word_row(const sst_model *model, uint32_t id)
{
    return model->word + id * sst_word_bytes(&model->shape);
}

static void
read_s8(const unsigned char *row, size_t d, float *x)
{
    const int8_t *values = (const int8_t *) row + sizeof(float);
    float       scale;

    memcpy(&scale, row, sizeof(scale));
    for (size_t i = 0; i < d; i++)
        x[i] = scale * (float) values[i];
}

void
sst_word_read(const sst_model *model, uint32_t id, float *x)
{
    const size_t d = model->shape.hidden;
    const unsigned char *row = word_row(model, id);
    const uint16_t *halves = (const uint16_t *) row;

    switch (model->shape.words)
    {
        case SST_WORDS_F32:
            memcpy(x, row, d * sizeof(float));
            break;
        case SST_WORDS_F16:
            for (size_t i = 0; i < d; i++)
                x[i] = float_of_half(halves[i]);
            break;
        case SST_WORDS_BF16:
            for (size_t i = 0; i < d; i++)
                x[i] = float_of_bits((uint32_t) halves[i] << 16);
            break;
        default:
            read_s8(row, d, x);
    }
}

uint64_t
sst_word_hash(const sst_model *model, uint32_t id)
{
    return sst_hash64(word_row(model, id), sst_word_bytes(&model->shape));
}

bool
sst_word_is_intact(const sst_model *model, uint32_t id)
{
    return sst_word_hash(model, id) == model->word_hashes[id];
}
