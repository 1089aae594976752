/*
 * avx512.c - AVX-512 with BW, which all of its CPUs have but the Xeon Phi: int8 by products of 16 bits (see avx2.c).
 */
#include <string.h>

#include "kernels.h"

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw")
#endif
#include "v16_avx512.h"

#define SST_KERNELS sst_kernels_avx512
#define SST_ISA SST_ISA_AVX512
#define SST_ISA_NAME "avx512"
#define SST_S8_ROWS 10          /* 20 registers of sums, 2 of weights, 1 of activations, 1 of products */
#define SST_S8_PANELS 1

typedef int16_t s8_value;

static inline void
v16_store_values(s8_value *p, v16 v)
{
    _mm256_storeu_si256((__m256i *) p, _mm512_cvtepi32_epi16(_mm512_castps_si512(v)));
}

/* As that of avx2.c. */
SST_INLINE v16i
add_products(v16i sum, v16i a, v16i weights)
{
    v16i        products;

    __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+v"(sum), "=&v"(products) : "v"(a), "v"(weights));
    return sum;
}

/* The sums of 8 columns, from those of their inputs 0, 1 and 2, 3 of each quad. */
static inline __m256i
pair_sums(v16i sums)
{
    return _mm512_cvtepi64_epi32(_mm512_add_epi32(sums, _mm512_srli_epi64(sums, 32)));
}

/* See c.c. */
SST_INLINE void
s8_sums(const int rows, const int panels, const s8_value *x, size_t ldx, const char *w, size_t panel_bytes,
        size_t quads, const char *ahead, v16i sums[][SST_S8_PANELS])
{
    v16i        sum[SST_S8_ROWS][2];

    (void) panels;
    (void) panel_bytes;
    SST_UNROLL for (int r = 0; r < rows; r++)
        sum[r][0] = sum[r][1] = _mm512_setzero_si512();
    for (size_t q = 0; q < quads; q++, w += 4 * SST_LANES, x += 4)
    {
        v16i        weights[2];

        __builtin_prefetch(w + SST_PREFETCH);
        __builtin_prefetch(ahead + q * 4 * SST_LANES, 0, 2);
        SST_UNROLL for (int c = 0; c < 2; c++)
            weights[c] = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *) w + c));
        SST_UNROLL for (int r = 0; r < rows; r++)
        {
            long long   quad;
            v16i        a;

            memcpy(&quad, x + r * ldx, sizeof(quad));
            a = _mm512_set1_epi64(quad);
            SST_UNROLL for (int c = 0; c < 2; c++)
                sum[r][c] = add_products(sum[r][c], a, weights[c]);
        }
    }
    SST_UNROLL for (int r = 0; r < rows; r++)
        sums[r][0] = _mm512_inserti64x4(_mm512_castsi256_si512(pair_sums(sum[r][0])), pair_sums(sum[r][1]), 1);
}

#include "template.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
