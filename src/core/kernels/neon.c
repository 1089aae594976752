/*
 * neon.c - the kernels for every 64-bit ARM.
 */
#include "kernels.h"

#if defined(__aarch64__)
#include "v16_neon.h"

#define SST_KERNELS sst_kernels_neon
#define SST_ISA SST_ISA_NEON
#define SST_ISA_NAME "neon"
#define SST_S8_ROWS 2           /* 16 registers of sums: with 24 gcc spills */
#define SST_S8_PANELS 1

/*
 * See c.c. The products of bytes take 16 bits, sums of two of them 32: sum[r][c] has, for the two columns 2 c and
 * 2 c + 1, the sums of k = 0, 1 and of k = 2, 3 of each quad.
 */
SST_INLINE void
s8_sums(const int rows, const int panels, const s8_value *x, size_t ldx, const char *w, size_t panel_bytes,
        size_t quads, const char *ahead, v16i sums[][SST_S8_PANELS])
{
    int32x4_t   sum[SST_S8_ROWS][SST_LANES / 2];

    (void) panels;
    (void) panel_bytes;
    SST_UNROLL for (int r = 0; r < rows; r++)
        SST_UNROLL for (int c = 0; c < SST_LANES / 2; c++)
            sum[r][c] = vdupq_n_s32(0);
    for (size_t q = 0; q < quads; q++, w += 4 * SST_LANES, x += 4)
    {
        int8x8_t    a[SST_S8_ROWS];

        __builtin_prefetch(w + SST_PREFETCH);
        __builtin_prefetch(ahead + q * 4 * SST_LANES, 0, 2);
        SST_UNROLL for (int r = 0; r < rows; r++)
            a[r] = vreinterpret_s8_s32(vdup_n_s32(signed_quad(x + r * ldx)));
        SST_UNROLL for (int c = 0; c < SST_LANES / 2; c++)
        {
            int8x8_t    weights = vld1_s8((const int8_t *) w + 8 * c);

            SST_UNROLL for (int r = 0; r < rows; r++)
                sum[r][c] = vpadalq_s16(sum[r][c], vmull_s8(a[r], weights));
        }
    }
    SST_UNROLL for (int r = 0; r < rows; r++)
        sums[r][0] = (v16i) {vpaddq_s32(sum[r][0], sum[r][1]), vpaddq_s32(sum[r][2], sum[r][3]),
            vpaddq_s32(sum[r][4], sum[r][5]), vpaddq_s32(sum[r][6], sum[r][7])};
}

#include "template.h"
#endif
