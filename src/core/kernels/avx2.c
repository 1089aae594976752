/*
 * avx2.c - fp32 and int8 by AVX2 and FMA.
 */
#include "kernels.h"

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#include "v16_avx2.h"
#include "s8_avx2.h"

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
