/*
 * avxvnni.c - AVX2 with the int8 dot products of AVX-VNNI, for CPUs without AVX-512.
 */
#include <string.h>

#include "kernels.h"

#if defined(SST_HAS_AVXVNNI)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,avxvnni"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,avxvnni")
#endif
#include "v16_avx2.h"

#define SST_KERNELS sst_kernels_avxvnni
#define SST_ISA SST_ISA_AVXVNNI
#define SST_ISA_NAME "avxvnni"
#define SST_S8_ROWS 6           /* 12 registers of sums, 2 of weights, 1 of activations */
#define SST_S8_PANELS 1

typedef uint8_t s8_value;

static inline void
v16_store_values(s8_value *p, v16 v)
{
    const __m256i low = _mm256_set1_epi32(0xff);
    __m256i     words = _mm256_packus_epi32(_mm256_and_si256(_mm256_castps_si256(v.lo), low),
                                            _mm256_and_si256(_mm256_castps_si256(v.hi), low));

    words = _mm256_permute4x64_epi64(words, 0xd8);
    _mm_storeu_si128((__m128i *) p, _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
}

/* As that of avx512vnni.c, and as intrinsic with the same loss. */
SST_INLINE __m256i
add_products(__m256i sum, __m256i a, __m256i weights)
{
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(weights));
    return sum;
}

/* See c.c. */
SST_INLINE void
s8_sums(const int rows, const int panels, const s8_value *x, size_t ldx, const char *w, size_t panel_bytes,
        size_t quads, const char *ahead, v16i sums[][SST_S8_PANELS])
{
    __m256i     sum[SST_S8_ROWS][2];

    (void) panels;
    (void) panel_bytes;
    SST_UNROLL for (int r = 0; r < rows; r++)
        sum[r][0] = sum[r][1] = _mm256_setzero_si256();
    for (size_t q = 0; q < quads; q++, w += 4 * SST_LANES, x += 4)
    {
        __m256i     weights[2];

        __builtin_prefetch(w + SST_PREFETCH);
        __builtin_prefetch(ahead + q * 4 * SST_LANES, 0, 2);
        SST_UNROLL for (int c = 0; c < 2; c++)
            weights[c] = _mm256_loadu_si256((const __m256i *) w + c);
        SST_UNROLL for (int r = 0; r < rows; r++)
        {
            int32_t     quad;
            __m256i     a;

            memcpy(&quad, x + r * ldx, sizeof(quad));
            a = _mm256_set1_epi32(quad);
            SST_UNROLL for (int c = 0; c < 2; c++)
                sum[r][c] = add_products(sum[r][c], a, weights[c]);
        }
    }
    SST_UNROLL for (int r = 0; r < rows; r++)
        sums[r][0] = v16i_join(sum[r][0], sum[r][1]);
}

#include "template.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
