/*
 * permission.c - AMX only where Linux lets the process use it, on any CPU: a CPU's answers are made up, and a filter of
 * system calls says yes or no in the kernel's place. Prints TAP.
 */
#include <stddef.h>
#include <stdlib.h>

#include "support/tap.h"

/* The very code, beside the tested program's own. */
#define sst_kernels_get permission_kernels_get
#define sst_kernels_name permission_kernels_name
#include "core/kernels/dispatch.c"

#if defined(SST_HAS_AMXINT8)
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define ALL_BITS 0xffffffffu

/* From now on a request for a state of the CPU's is answered by this error, or granted where it is 0. */
static bool
answer_requests(int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_arch_prctl, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x1023, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof(code) / sizeof(code[0]), code};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

/* What a process finds on such a CPU where requests are answered so; -1 where they cannot be. */
static int
found(int error, uint64_t states, uint32_t c, uint32_t d)
{
    int         status;
    pid_t       child = fork();

    if (child == 0)
        _exit(answer_requests(error) ? (int) detect_avx512(states, c, d) >> SST_ISA_AVX512 : 0xff);
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) == 0xff)
        return -1;
    return WEXITSTATUS(status) << SST_ISA_AVX512;
}

int
main(void)
{
    const uint64_t zmm = 0xe6,
                tiles = 0x60000;
    const int   vnni = THERE(SST_ISA_AVX512) | THERE(SST_ISA_AVX512VNNI),
                amx = vnni | THERE(SST_ISA_AMXINT8);

    if (found(0, 0, 0, 0) < 0)
        printf("ok 1 - # SKIP system calls cannot be filtered here\n1..1\n"), exit(0);
    ok(found(0, zmm | tiles, ALL_BITS, ALL_BITS) == amx, "AMX where the kernel grants it");
    ok(found(EPERM, zmm | tiles, ALL_BITS, ALL_BITS) == vnni, "AVX-512 VNNI where a filter forbids it");
    ok(found(EINVAL, zmm | tiles, ALL_BITS, ALL_BITS) == vnni, "and where an old kernel knows no such request");
    ok(found(0, zmm, ALL_BITS, ALL_BITS) == vnni, "and where the kernel does not save tiles");
    ok(found(0, zmm | tiles, ALL_BITS, 1 << 24) == vnni, "and on a CPU with tiles, but without their int8 products");
    ok(found(0, tiles, ALL_BITS, ALL_BITS) == 0, "nothing where the kernel does not save AVX-512's registers");
    printf("1..%d\n", tests);
    return failures != 0;
}
#else
int
main(void)
{
    printf("ok 1 - # SKIP no AMX for this compiler and system\n1..1\n");
    return tests + failures;
}
#endif
