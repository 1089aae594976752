/*
 * linear.c - a matrix of any number of rows times panels, in tiles that the kernels take.
 *
 * Rows go in blocks whose inputs stay in the L2 cache while all panels pass by; within a block, a pair of panels
 * stays there while the block's tiles pass by. Blocks and tiles never change a sum (see sst.h, One answer).
 */
#include <string.h>

#include "forward.h"

#define BLOCK_FLOATS (96 * 1024)    /* inputs of one block: 384 KB, beside panels of up to 393 KB in 1 MB of L2 */

typedef struct gemm
{
    const sst_kernels *kernels;
    const float *x;
    size_t      ldx;
    size_t      in;
    float      *y;
    size_t      ldy;
    sst_epilogue epilogue;
} gemm;

/* A tile of fewer than 16 columns: through a copy of full width. */
static void
narrow_tile(const gemm *g, size_t row, int rows, const float *panel, size_t column, size_t columns)
{
    float       copy[SST_MAX_TILE_ROWS][SST_LANES] = {{0}};
    float      *y = g->y + row * g->ldy + column;

    if (g->epilogue == SST_ADD)
        for (int r = 0; r < rows; r++)
            memcpy(copy[r], y + r * g->ldy, columns * sizeof(float));
    g->kernels->gemm_f32(rows, 1, g->x + row * g->ldx, g->ldx, panel, g->in, copy[0], SST_LANES, g->epilogue);
    for (int r = 0; r < rows; r++)
        memcpy(y + r * g->ldy, copy[r], columns * sizeof(float));
}

/* Rows first .. last - 1 of the columns that the given panels hold, in tiles of nearly equal height. */
static void
tile_rows(const gemm *g, size_t first, size_t last, const float *panel, int panels, size_t column, size_t columns,
          const sst_tick *tick)
{
    size_t      tiles = (last - first + g->kernels->tile_rows - 1) / g->kernels->tile_rows;

    for (size_t row = first; tiles > 0; tiles--)
    {
        int         rows = (int) ((last - row + tiles - 1) / tiles);

        if (columns < SST_LANES)
            narrow_tile(g, row, rows, panel, column, columns);
        else
            g->kernels->gemm_f32(rows, panels, g->x + row * g->ldx, g->ldx, panel, g->in,
                                 g->y + row * g->ldy + column, g->ldy, g->epilogue);
        row += rows;
        sst_tick_call(tick);
    }
}

void
sst_gemm(const sst_kernels *kernels, const float *x, size_t ldx, size_t rows,
         const float *panels, size_t in, size_t out, float *y, size_t ldy,
         sst_epilogue epilogue, const sst_tick *tick)
{
    const gemm  g = {kernels, x, ldx, in, y, ldy, epilogue};
    const size_t panel = (1 + in) * SST_LANES;
    size_t      block = BLOCK_FLOATS / in;

    if (block < SST_MAX_TILE_ROWS)
        block = SST_MAX_TILE_ROWS;
    for (size_t first = 0; first < rows; first += block)
    {
        size_t      last = rows - first < block ? rows : first + block;

        for (size_t column = 0; column < out;)
        {
            size_t      left = out - column;
            int         count = left >= (size_t) kernels->tile_panels * SST_LANES ? kernels->tile_panels : 1;
            size_t      columns = left < SST_LANES ? left : (size_t) count * SST_LANES;

            tile_rows(&g, first, last, panels + column / SST_LANES * panel, count, column, columns, tick);
            column += columns;
        }
    }
}
