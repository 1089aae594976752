/*
 * c.c - the kernels in plain C: the reference that all others equal bit for bit.
 */
#include "v16_c.h"

#define SST_KERNELS sst_kernels_c
#define SST_ISA SST_ISA_C
#define SST_ISA_NAME "c"
#define SST_S8_ROWS 1
#define SST_S8_PANELS 1

/*
 * The sums of products of x [rows][4 * quads], with a leading dimension, and the weights [quads][16][4] of panels,
 * panel_bytes apart: exact, as 255 * 127 * K stays below 2^31 for every K that a model may have.
 */
SST_INLINE void
s8_sums(const int rows, const int panels, const s8_value *x, size_t ldx, const char *w, size_t panel_bytes,
        size_t quads, const char *ahead, v16i sums[][SST_S8_PANELS])
{
    (void) panels;
    (void) panel_bytes;
    (void) ahead;
    memset(sums, 0, (size_t) rows * sizeof(sums[0]));
    for (size_t q = 0; q < quads; q++, w += 4 * SST_LANES, x += 4)
        for (int r = 0; r < rows; r++)
            for (int i = 0; i < SST_LANES; i++)
                for (int j = 0; j < 4; j++)
                    sums[r][0].s[i] += x[r * ldx + j] * ((const int8_t *) w)[4 * i + j];
}

#include "template.h"
