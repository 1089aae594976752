/*
 * avx2.c - fp32 and int8 by AVX2 and FMA.
 *
 * int8 is multiplied by pmaddwd, on 16-bit values. pmaddubsw would take bytes as they are, but it saturates its sums of two
 * products at 32767, and 2 * 255 * 127 is more. So activations are quantized to 16 bits, and weights widened as they are
 * loaded, once for all rows of a tile.
 */
#include <string.h>

#include "kernels.h"

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#include "v16_avx2.h"

typedef int16_t s8_value;

#define SST_S8_ROWS 6           /* 12 registers of sums, 2 of weights, 1 of activations, 1 of products */
#define SST_S8_PANELS 1

/* sum + the two products of each pair, exactly. Left to compilers, gcc takes all products first, and spills. */
SST_INLINE __m256i
add_products(__m256i sum, __m256i a, __m256i weights)
{
    __m256i     products;

    __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(sum), "=&x"(products) : "x"(a), "x"(weights));
    return sum;
}

/*
 * The sums of 8 columns, whose weights begin at w. A register holds, for 4 columns, the sums of k = 0, 1 and of
 * k = 2, 3 of each quad.
 */
SST_INLINE void
s8_half_sums(const int rows, const s8_value *x, size_t ldx, const char *w, size_t quads, const char *ahead, __m256i *sums)
{
    __m256i     sum[SST_S8_ROWS][2];

    SST_UNROLL for (int r = 0; r < rows; r++)
        sum[r][0] = sum[r][1] = _mm256_setzero_si256();
    for (size_t q = 0; q < quads; q++, w += 4 * SST_LANES, x += 4)
    {
        __m256i     weights[2];

        __builtin_prefetch(w + SST_PREFETCH);
        __builtin_prefetch(ahead + q * 4 * SST_LANES, 0, 2);
        SST_UNROLL for (int c = 0; c < 2; c++)
            weights[c] = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *) (w + 16 * c)));
        SST_UNROLL for (int r = 0; r < rows; r++)
        {
            long long   quad;
            __m256i     a;

            memcpy(&quad, x + r * ldx, sizeof(quad));
            a = _mm256_set1_epi64x(quad);
            SST_UNROLL for (int c = 0; c < 2; c++)
                sum[r][c] = add_products(sum[r][c], a, weights[c]);
        }
    }
    SST_UNROLL for (int r = 0; r < rows; r++)
        sums[r] = _mm256_permute4x64_epi64(_mm256_hadd_epi32(sum[r][0], sum[r][1]), 0xd8);
}

/* See c.c. */
SST_INLINE void
s8_sums(const int rows, const int panels, const s8_value *x, size_t ldx, const char *w, size_t panel_bytes,
        size_t quads, const char *ahead, v16i sums[][SST_S8_PANELS])
{
    __m256i     low[SST_S8_ROWS],
                high[SST_S8_ROWS];

    (void) panels;
    (void) panel_bytes;
    s8_half_sums(rows, x, ldx, w, quads, ahead, low);
    s8_half_sums(rows, x, ldx, w + 2 * SST_LANES, quads, ahead, high);
    SST_UNROLL for (int r = 0; r < rows; r++)
        sums[r][0] = v16i_join(low[r], high[r]);
}

static inline void
v16_store_values(s8_value *p, v16 v)
{
    const __m256i low = _mm256_set1_epi32(0xffff);
    __m256i     words = _mm256_packus_epi32(_mm256_and_si256(_mm256_castps_si256(v.lo), low),
                                            _mm256_and_si256(_mm256_castps_si256(v.hi), low));

    _mm256_storeu_si256((__m256i *) p, _mm256_permute4x64_epi64(words, 0xd8));
}

#define SST_KERNELS sst_kernels_avx2
#define SST_ISA SST_ISA_AVX2
#define SST_ISA_NAME "avx2"
#include "template.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
