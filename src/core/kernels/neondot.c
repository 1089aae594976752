/*
 * neondot.c - NEON with the int8 dot products of ARMv8.2.
 */
#include "kernels.h"

#if defined(__aarch64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif
#include "v16_neon.h"

#define SST_KERNELS sst_kernels_neondot
#define SST_ISA SST_ISA_NEONDOT
#define SST_ISA_NAME "neondot"
#define SST_S8_ROWS 6           /* 24 registers of sums */
#define SST_S8_PANELS 1

/* vdotq_s32, which clang before 16 declares only where all of a file is compiled for it. */
static inline int32x4_t
add_dot(int32x4_t sum, int8x16_t a, int8x16_t b)
{
    __asm__("sdot %0.4s, %1.16b, %2.16b" : "+w"(sum) : "w"(a), "w"(b));
    return sum;
}

/* See c.c. sdot sums the four products of each column's quad exactly. */
SST_INLINE void
s8_sums(const int rows, const int panels, const s8_value *x, size_t ldx, const char *w, size_t panel_bytes,
        size_t quads, const char *ahead, v16i sums[][SST_S8_PANELS])
{
    int32x4_t   sum[SST_S8_ROWS][SST_LANES / 4];

    (void) panels;
    (void) panel_bytes;
    SST_UNROLL for (int r = 0; r < rows; r++)
        SST_UNROLL for (int c = 0; c < SST_LANES / 4; c++)
            sum[r][c] = vdupq_n_s32(0);
    for (size_t q = 0; q < quads; q++, w += 4 * SST_LANES, x += 4)
    {
        int8x16_t   weights[SST_LANES / 4];

        __builtin_prefetch(w + SST_PREFETCH);
        __builtin_prefetch(ahead + q * 4 * SST_LANES, 0, 2);
        SST_UNROLL for (int c = 0; c < SST_LANES / 4; c++)
            weights[c] = vld1q_s8((const int8_t *) w + 16 * c);
        SST_UNROLL for (int r = 0; r < rows; r++)
        {
            int8x16_t   a = vreinterpretq_s8_s32(vdupq_n_s32(signed_quad(x + r * ldx)));

            SST_UNROLL for (int c = 0; c < SST_LANES / 4; c++)
                sum[r][c] = add_dot(sum[r][c], a, weights[c]);
        }
    }
    SST_UNROLL for (int r = 0; r < rows; r++)
        sums[r][0] = (v16i) {sum[r][0], sum[r][1], sum[r][2], sum[r][3]};
}

#include "template.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
