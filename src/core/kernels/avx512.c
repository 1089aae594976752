/*
 * avx512.c - fp32 by AVX-512F; int8 as AVX2 does it.
 */
#include "kernels.h"

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f")
#endif
#include "v16_avx512.h"

#define SST_KERNELS sst_kernels_avx512
#define SST_ISA SST_ISA_AVX512
#define SST_ISA_NAME "avx512"

static inline v16i
v16i_join(__m256i lo, __m256i hi)
{
    return _mm512_inserti64x4(_mm512_castsi256_si512(lo), hi, 1);
}

#include "s8_avx2.h"

static inline void
v16_store_values(s8_value *p, v16 v)
{
    _mm256_storeu_si256((__m256i *) p, _mm512_cvtepi32_epi16(_mm512_castps_si512(v)));
}

#include "template.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
