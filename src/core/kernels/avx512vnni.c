/*
 * avx512vnni.c - AVX-512 with the int8 dot products of VNNI.
 */
#include <string.h>

#include "kernels.h"

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512vnni"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vnni")
#endif
#include "v16_avx512.h"

#define SST_KERNELS sst_kernels_avx512vnni
#define SST_ISA SST_ISA_AVX512VNNI
#define SST_ISA_NAME "avx512vnni"
#define SST_S8_ROWS 10          /* 20 registers of sums, 2 of weights, 1 of activations */
#define SST_S8_PANELS 2

typedef uint8_t s8_value;
#define v16_store_values v16_store_bytes

/*
 * sum + the four products of each column's quad, exactly. Where compilers know what it does, gcc 12 copies each sum to
 * another register and back, which takes more of the CPU than the products.
 */
SST_INLINE v16i
add_products(v16i sum, v16i a, v16i weights)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(weights));
    return sum;
}

/* See c.c. */
SST_INLINE void
s8_sums(const int rows, const int panels, const s8_value *x, size_t ldx, const char *w, size_t panel_bytes,
        size_t quads, const char *ahead, v16i sum[][SST_S8_PANELS])
{
    SST_UNROLL for (int r = 0; r < rows; r++)
        SST_UNROLL for (int p = 0; p < panels; p++)
            sum[r][p] = _mm512_setzero_si512();
    for (size_t q = 0; q < quads; q++, w += 4 * SST_LANES, x += 4)
    {
        __m512i     weights[SST_S8_PANELS];

        __builtin_prefetch(ahead + q * 4 * SST_LANES, 0, 2);
        SST_UNROLL for (int p = 0; p < panels; p++)
        {
            __builtin_prefetch(w + p * panel_bytes + SST_PREFETCH);
            weights[p] = _mm512_loadu_si512(w + p * panel_bytes);
        }
        SST_UNROLL for (int r = 0; r < rows; r++)
        {
            int32_t     quad;
            __m512i     a;

            memcpy(&quad, x + r * ldx, sizeof(quad));
            a = _mm512_set1_epi32(quad);
            SST_UNROLL for (int p = 0; p < panels; p++)
                sum[r][p] = add_products(sum[r][p], a, weights[p]);
        }
    }
}

#include "template.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
