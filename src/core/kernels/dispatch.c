/*
 * dispatch.c - which kernels this CPU and its operating system can run.
 *
 * Start with the plain C table; each family that is there and not above the limit replaces it.
 */
#include "kernels.h"

#define THERE(isa) (1u << (isa))

/* LAST is the last family that this architecture could have. */
#if defined(__x86_64__)
#define LAST SST_ISA_AMXINT8
#include <cpuid.h>
#if defined(SST_HAS_AMXINT8)
#include <sys/syscall.h>
#include <unistd.h>
#endif

/* The register states that the operating system saves (XCR0). */
static uint64_t
saved_states(void)
{
    uint32_t    lo,
                hi;

    __asm__("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t) hi << 32 | lo;
}

/* Linux gives a process that asks for it the room for AMX's tiles; old ones, and filters of system calls, do not. */
static bool
may_use_tiles(void)
{
#if defined(SST_HAS_AMXINT8)
    const long  request = 0x1023,   /* ARCH_REQ_XCOMP_PERM, which old headers lack */
                tile_data = 18;

    return syscall(SYS_arch_prctl, request, tile_data) == 0;
#else
    return false;
#endif
}

/* The families beyond AVX2, from leaf 7 of CPUID. */
static unsigned
detect_avx512(uint64_t states, uint32_t c, uint32_t d)
{
    const uint64_t zmm = 0xe6,  /* XMM, YMM, opmask, upper halves, ZMM 16-31 */
                tiles = 3 << 17;
    const uint32_t amx = 3 << 24;   /* AMX-TILE and AMX-INT8 */
    unsigned    there = THERE(SST_ISA_AVX512);

    if ((states & zmm) != zmm)
        return 0;
    if (!(c & bit_AVX512VNNI))
        return there;
    there |= THERE(SST_ISA_AVX512VNNI);
    if ((d & amx) == amx && (states & tiles) == tiles && may_use_tiles())
        there |= THERE(SST_ISA_AMXINT8);
    return there;
}

/* The families that CPU and operating system support. */
static unsigned
detect(void)
{
    const uint64_t ymm = 0x06;  /* XMM and YMM state */
    unsigned    there = THERE(SST_ISA_C);
    uint32_t    a,
                b,
                c,
                d;
    uint64_t    states;

    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_AVX) || !(c & bit_FMA))
        return there;
    states = saved_states();
    if ((states & ymm) != ymm || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & bit_AVX2))
        return there;
    there |= THERE(SST_ISA_AVX2);
    if ((b & bit_AVX512F) && (b & bit_AVX512BW))
        there |= detect_avx512(states, c, d);
    if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && a >> 4 & 1)
        there |= THERE(SST_ISA_AVXVNNI);
    return there;
}
#elif defined(__aarch64__)
#define LAST SST_ISA_NEONI8MM
#if defined(__linux__)
#include <sys/auxv.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

/* NEON is part of every 64-bit ARM. */
static unsigned
detect(void)
{
    unsigned    there = THERE(SST_ISA_C) | THERE(SST_ISA_NEON);
#if defined(__linux__)
    const unsigned long asimddp = 1 << 20,  /* HWCAP_ASIMDDP and HWCAP2_I8MM, which old headers lack */
                i8mm = 1 << 13;

    if (getauxval(AT_HWCAP) & asimddp)
        there |= THERE(SST_ISA_NEONDOT);
    if (getauxval(AT_HWCAP2) & i8mm)
        there |= THERE(SST_ISA_NEONI8MM);
#elif defined(__APPLE__)
    int         i8mm = 0;
    size_t      size = sizeof(i8mm);

    there |= THERE(SST_ISA_NEONDOT);    /* of all that run macOS */
    if (sysctlbyname("hw.optional.arm.FEAT_I8MM", &i8mm, &size, NULL, 0) == 0 && i8mm)
        there |= THERE(SST_ISA_NEONI8MM);
#endif
    return there;
}
#else
#define LAST SST_ISA_C

static unsigned
detect(void)
{
    return THERE(SST_ISA_C);
}
#endif

/* Asked once a process: in a virtual machine CPUID takes the hypervisor's time. */
static bool
is_there(sst_isa isa)
{
    static unsigned there = 0;

    if (there == 0)
        there = detect();
    return there & THERE(isa);
}

/* The families of this architecture, each better than the one before. */
static const sst_kernels *const families[SST_ISA_BEST] = {
    [SST_ISA_C] = &sst_kernels_c,
#if defined(__x86_64__)
    [SST_ISA_AVX2] = &sst_kernels_avx2,
#if defined(SST_HAS_AVXVNNI)
    [SST_ISA_AVXVNNI] = &sst_kernels_avxvnni,
#endif
    [SST_ISA_AVX512] = &sst_kernels_avx512,
    [SST_ISA_AVX512VNNI] = &sst_kernels_avx512vnni,
#if defined(SST_HAS_AMXINT8)
    [SST_ISA_AMXINT8] = &sst_kernels_amxint8,
#endif
#elif defined(__aarch64__)
    [SST_ISA_NEON] = &sst_kernels_neon,
    [SST_ISA_NEONDOT] = &sst_kernels_neondot,
#if defined(SST_HAS_NEONI8MM)
    [SST_ISA_NEONI8MM] = &sst_kernels_neoni8mm,
#endif
#endif
};

const sst_kernels *
sst_kernels_get(sst_isa limit)
{
    const sst_kernels *kernels = &sst_kernels_c;

    if (limit != SST_ISA_BEST && limit > LAST)
        return kernels;
    for (int isa = SST_ISA_C; isa <= (int) LAST && isa <= (int) limit; isa++)
        if (families[isa] && is_there((sst_isa) isa))
            kernels = families[isa];
    return kernels;
}

const char *
sst_kernels_name(const sst_kernels *kernels)
{
    return kernels->name;
}
