/*
 * dispatch.c - which kernels this CPU and its operating system can run.
 *
 * Start with the plain C table; each family that is there and not above the limit replaces it.
 */
#include "kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>

/* The register states that the operating system saves (XCR0). */
static uint64_t
saved_states(void)
{
    uint32_t    lo,
                hi;

    __asm__("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t) hi << 32 | lo;
}

/* The highest of the families that CPU and operating system support. */
static sst_isa
detect(void)
{
    const uint64_t ymm = 0x06,  /* XMM and YMM state */
                zmm = 0xe6;     /* and opmask, upper halves, ZMM 16-31 */
    uint32_t    a,
                b,
                c,
                d;
    uint64_t    states;

    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_AVX) || !(c & bit_FMA))
        return SST_ISA_C;
    states = saved_states();
    if ((states & ymm) != ymm || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_AVX2))
        return SST_ISA_C;
    if ((states & zmm) != zmm || !(b & bit_AVX512F))
        return SST_ISA_AVX2;
    return c & bit_AVX512VNNI ? SST_ISA_AVX512VNNI : SST_ISA_AVX512;
}
#elif defined(__aarch64__)
#if defined(__linux__)
#include <sys/auxv.h>
#endif

/* NEON is part of every 64-bit ARM. */
static sst_isa
detect(void)
{
#if defined(__ARM_FEATURE_DOTPROD)      /* compiled for such CPUs only */
    return SST_ISA_NEONDOT;
#elif defined(__linux__)
    const unsigned long asimddp = 1 << 20;      /* HWCAP_ASIMDDP, which old headers lack */

    return getauxval(AT_HWCAP) & asimddp ? SST_ISA_NEONDOT : SST_ISA_NEON;
#else
    return SST_ISA_NEON;
#endif
}
#else
static sst_isa
detect(void)
{
    return SST_ISA_C;
}
#endif

/* Asked once a process: in a virtual machine CPUID takes the hypervisor's time. */
static sst_isa
best_family(void)
{
    static sst_isa best = SST_ISA_BEST; /* not yet known */

    if (best == SST_ISA_BEST)
        best = detect();
    return best;
}

/* The families of this architecture, each better than the one before. */
static const sst_kernels *const families[] = {
    &sst_kernels_c,
#if defined(__x86_64__)
    &sst_kernels_avx2,
    &sst_kernels_avx512,
    &sst_kernels_avx512vnni,
#elif defined(__aarch64__)
    &sst_kernels_neon,
    &sst_kernels_neondot,
#endif
};

const sst_kernels *
sst_kernels_get(sst_isa limit)
{
    const sst_kernels *kernels = families[0];
    const sst_isa best = best_family();

    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
    {
        if (families[i]->isa <= best)
            kernels = families[i];
        if (families[i]->isa == limit)
            return kernels;
    }
    return limit == SST_ISA_BEST ? kernels : &sst_kernels_c;
}

const char *
sst_kernels_name(const sst_kernels *kernels)
{
    return kernels->name;
}
