/*
 * kernels_avx512.c - fp32 by AVX-512F; int8 as AVX2 does it.
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
#include "s8_avx2.h"
#include "kernels_tmpl.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
