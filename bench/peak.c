/*
 * peak.c - what one core can do: multiply-adds in registers, with nothing to wait for.
 *
 * Twelve independent chains cover the latency of an fma on any x86-64 CPU, and leave registers of AVX2's sixteen for the rest.
 * The result is the best of several short runs: other work on the machine can only lower a run.
 */
#include "peak.h"

#include <time.h>

#define CHAINS 12
#define ROUNDS 200000
#define RUNS 15

double
peak_clock(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec + 1e-9 * (double) t.tv_nsec;
}

#if defined(__x86_64__)
#include <immintrin.h>

/*
 * A function that runs STEP on CHAINS sums of TYPE, each with the operand a, ROUNDS times. The asm keeps the loop, as a may
 * be another in each round, and the sums, as something may look at them.
 */
#define DEFINE_LOOP(NAME, TARGET, TYPE, SET, STEP) \
__attribute__((target(TARGET), noinline)) static void \
NAME(void) \
{ \
    TYPE        sum[CHAINS]; \
    TYPE        a = SET(1); \
\
    for (int i = 0; i < CHAINS; i++) \
        sum[i] = SET((char) i); \
    for (int round = 0; round < ROUNDS; round++) \
    { \
        __asm__ volatile("" : "+v"(a)); \
        _Pragma("GCC unroll 12") \
        for (int i = 0; i < CHAINS; i++) \
            sum[i] = STEP(sum[i], a); \
    } \
    for (int i = 0; i < CHAINS; i++) \
        __asm__ volatile("" : : "v"(sum[i])); \
}

#define FMA_256(sum, a) _mm256_fmadd_ps(a, a, sum)
#define FMA_512(sum, a) _mm512_fmadd_ps(a, a, sum)

/* As intrinsics, gcc would take a product out of its loop, or spill, or copy each sum to another register and back. */
__attribute__((target("avx512f,avx512vnni"))) static inline __m512i
dpbusd_512_step(__m512i sum, __m512i a)
{
    __asm__("vpdpbusd %1, %1, %0" : "+v"(sum) : "v"(a));
    return sum;
}

__attribute__((target("avx2"))) static inline __m256i
madd_256_step(__m256i sum, __m256i a)
{
    __asm__("vpmaddwd %1, %1, %%ymm15\n\tvpaddd %%ymm15, %0, %0" : "+x"(sum) : "x"(a) : "xmm15");
    return sum;
}

DEFINE_LOOP(fma_256, "avx2,fma", __m256, _mm256_set1_ps, FMA_256)
DEFINE_LOOP(fma_512, "avx512f", __m512, _mm512_set1_ps, FMA_512)
DEFINE_LOOP(madd_256, "avx2", __m256i, _mm256_set1_epi16, madd_256_step)
DEFINE_LOOP(dpbusd_512, "avx512f,avx512vnni", __m512i, _mm512_set1_epi8, dpbusd_512_step)

/* Billions of operations a second of a loop whose every step is that many multiply-adds. */
static double
best_rate(void (*loop) (void), int multiply_adds)
{
    double      best = 0;

    for (int i = 0; i < RUNS; i++)
    {
        double      begin = peak_clock();
        double      rate;

        loop();
        rate = 2e-9 * multiply_adds * CHAINS * ROUNDS / (peak_clock() - begin);
        best = rate > best ? rate : best;
    }
    return best;
}

double
peak_fp32(sst_isa isa)
{
    switch (isa)
    {
        case SST_ISA_AVX2:
        case SST_ISA_AVXVNNI:
            return best_rate(fma_256, 8);
        case SST_ISA_AVX512:
        case SST_ISA_AVX512VNNI:
        case SST_ISA_AMXINT8:
            return best_rate(fma_512, 16);
        default:
            return 0;
    }
}

double
peak_int8(sst_isa isa)
{
    switch (isa)
    {
        case SST_ISA_AVX2:
        case SST_ISA_AVX512:
            return best_rate(madd_256, 16);
        case SST_ISA_AVX512VNNI:
            return best_rate(dpbusd_512, 64);
        default:
            return 0;
    }
}
#else
double
peak_fp32(sst_isa isa)
{
    (void) isa;
    return 0;
}

double
peak_int8(sst_isa isa)
{
    (void) isa;
    return 0;
}
#endif
