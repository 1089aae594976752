/*
 * neoni8mm.c - NEON with the int8 matrix products of ARMv8.6: two rows times two columns, 8 inputs each.
 */
#include "kernels.h"

#if defined(SST_HAS_NEONI8MM)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("i8mm"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=armv8.2-a+i8mm")
#endif
#include "v16_neon.h"

#define SST_KERNELS sst_kernels_neoni8mm
#define SST_ISA SST_ISA_NEONI8MM
#define SST_ISA_NAME "neoni8mm"
#define SST_S8_ROWS 6           /* 24 registers of sums */
#define SST_S8_PANELS 1

#define PAIRS (SST_S8_ROWS / 2) /* of rows */

/* vmmlaq_s32, which clang before 16 declares only where all of a file is compiled for it. */
static inline int32x4_t
add_product(int32x4_t sum, int8x16_t rows, int8x16_t columns)
{
    __asm__("smmla %0.4s, %1.16b, %2.16b" : "+w"(sum) : "w"(rows), "w"(columns));
    return sum;
}

/* Two quads, or one and four zeros, of a row. */
static inline int8x8_t
signed_quads(const s8_value *x, const int quads)
{
    const uint64_t first = (uint32_t) signed_quad(x);
    const uint64_t second = quads == 2 ? (uint32_t) signed_quad(x + 4) : 0;

    return vcreate_s8(first | second << 32);
}

/* To the sums of 2 rows and 2 columns each, the products of 8 inputs, or of 4 where quads is 1. */
SST_INLINE void
add_quads(const int rows, const int quads, const s8_value *x, size_t ldx, const char *w,
          int32x4_t sum[][SST_LANES / 2])
{
    int8x16_t   a[PAIRS];

    SST_UNROLL for (int p = 0; 2 * p < rows; p++)
        a[p] = vcombine_s8(signed_quads(x + 2 * p * ldx, quads),
                           signed_quads(x + (2 * p + 1 < rows ? 2 * p + 1 : 2 * p) * ldx, quads));
    SST_UNROLL for (int c = 0; c < SST_LANES / 4; c++)
    {
        int32x4_t   first = vreinterpretq_s32_s8(vld1q_s8((const int8_t *) w + 16 * c)),
                    second = quads == 2 ? vreinterpretq_s32_s8(vld1q_s8((const int8_t *) w + 4 * SST_LANES + 16 * c))
            : vdupq_n_s32(0);

        SST_UNROLL for (int p = 0; 2 * p < rows; p++)
        {
            sum[p][2 * c] = add_product(sum[p][2 * c], a[p], vreinterpretq_s8_s32(vzip1q_s32(first, second)));
            sum[p][2 * c + 1] = add_product(sum[p][2 * c + 1], a[p], vreinterpretq_s8_s32(vzip2q_s32(first, second)));
        }
    }
}

/* Lanes 0 and 1 of both, or 2 and 3: sums of one row and four columns. */
static inline int32x4_t
row_of(int32x4_t a, int32x4_t b, const int row)
{
    const int64x2_t x = vreinterpretq_s64_s32(a),
                y = vreinterpretq_s64_s32(b);

    return vreinterpretq_s32_s64(row == 0 ? vzip1q_s64(x, y) : vzip2q_s64(x, y));
}

/* See c.c. */
SST_INLINE void
s8_sums(const int rows, const int panels, const s8_value *x, size_t ldx, const char *w, size_t panel_bytes,
        size_t quads, const char *ahead, v16i sums[][SST_S8_PANELS])
{
    int32x4_t   sum[PAIRS][SST_LANES / 2];
    size_t      q = 0;

    (void) panels;
    (void) panel_bytes;
    SST_UNROLL for (int p = 0; 2 * p < rows; p++)
        SST_UNROLL for (int c = 0; c < SST_LANES / 2; c++)
            sum[p][c] = vdupq_n_s32(0);
    for (; q + 2 <= quads; q += 2, w += 8 * SST_LANES, x += 8)
    {
        SST_UNROLL for (int line = 0; line < 8 * SST_LANES; line += 64)
        {
            __builtin_prefetch(w + line + SST_PREFETCH);
            __builtin_prefetch(ahead + q * 4 * SST_LANES + line, 0, 2);
        }
        add_quads(rows, 2, x, ldx, w, sum);
    }
    if (q < quads)
        add_quads(rows, 1, x, ldx, w, sum);
    SST_UNROLL for (int r = 0; r < rows; r++)
    {
        const int32x4_t *s = sum[r / 2];

        sums[r][0] = (v16i) {row_of(s[0], s[1], r % 2), row_of(s[2], s[3], r % 2), row_of(s[4], s[5], r % 2),
            row_of(s[6], s[7], r % 2)};
    }
}

#include "template.h"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
