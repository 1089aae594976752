/*
 * linear.c - a matrix of any number of rows times panels, in tiles that the kernels take.
 *
 * Rows go in blocks whose inputs stay in the L2 cache while all panels pass by; within a block, a pair of panels
 * stays there while the block's tiles pass by. The first of these tiles fetch the next panels ahead of their use, which hides
 * the memory behind arithmetic. Blocks and tiles never change a sum (see sst.h, One answer).
 */
#include <string.h>

#include "forward.h"

#define BLOCK_BYTES (384 * 1024)    /* inputs of one block, beside panels of up to 393 KB in 1 MB of L2 */

typedef struct gemm
{
    const sst_kernels *kernels;
    sst_tile    tile;
    const void *x;
    size_t      row_bytes;      /* from one row of x to the next */
    size_t      ldx;            /* the same in elements */
    const sst_row_scale *scales;    /* NULL: x is float */
    size_t      rows;
    const char *panels;
    size_t      panel_bytes;
    size_t      in;
    size_t      out;
    sst_epilogue epilogue;
} gemm;

static void
run_kernel(const gemm *g, size_t row, int rows, const char *panel, int panels, const char *ahead, float *y, size_t ldy)
{
    const void *x = (const char *) g->x + row * g->row_bytes;

    if (g->scales)
        g->kernels->gemm_s8(rows, panels, x, g->ldx, g->scales + row, panel, g->in, ahead, y, ldy, g->epilogue);
    else
        g->kernels->gemm_f32(rows, panels, x, g->ldx, (const float *) panel, g->in, ahead, y, ldy, g->epilogue);
}

/* A tile of fewer than 16 columns: through a copy of full width. */
static void
run_narrow(const gemm *g, size_t row, int rows, const char *panel, size_t columns, float *y, size_t ldy)
{
    float       copy[SST_MAX_TILE_ROWS][SST_LANES] = {{0}};

    if (g->epilogue == SST_ADD)
        for (int r = 0; r < rows; r++)
            memcpy(copy[r], y + r * ldy, columns * sizeof(float));
    run_kernel(g, row, rows, panel, 1, panel, copy[0], SST_LANES);
    for (int r = 0; r < rows; r++)
        memcpy(y + r * ldy, copy[r], columns * sizeof(float));
}

/* Rows first .. last - 1 of the columns that begin at column, in tiles of nearly equal height. Returns how many columns. */
static size_t
run_columns(const gemm *g, size_t first, size_t last, size_t column, float *y, size_t ldy, const sst_tick *tick)
{
    const char *panel = g->panels + column / SST_LANES * g->panel_bytes;
    size_t      left = g->out - column;
    int         panels = left >= (size_t) g->tile.panels * SST_LANES ? g->tile.panels : 1;
    size_t      columns = left < SST_LANES ? left : (size_t) panels * SST_LANES;
    size_t      tiles = (last - first + g->tile.rows - 1) / g->tile.rows;
    const char *ahead = panel + (size_t) panels * g->panel_bytes;
    const char *ahead_end = ahead + (size_t) panels * g->panel_bytes;

    for (size_t row = first; tiles > 0; tiles--)
    {
        int         rows = (int) ((last - row + tiles - 1) / tiles);
        float      *to = y + row * ldy + column;

        if (columns < SST_LANES)
            run_narrow(g, row, rows, panel, columns, to, ldy);
        else
            run_kernel(g, row, rows, panel, panels, ahead, to, ldy);
        row += rows;
        ahead = ahead < ahead_end ? ahead + g->panel_bytes : panel;
        sst_tick_call(tick);
    }
    return columns;
}

static void
run_blocks(const gemm *g, float *y, size_t ldy, const sst_tick *tick)
{
    size_t      block = BLOCK_BYTES / g->row_bytes;

    if (block < SST_MAX_TILE_ROWS)
        block = SST_MAX_TILE_ROWS;
    for (size_t first = 0; first < g->rows; first += block)
    {
        size_t      last = g->rows - first < block ? g->rows : first + block;

        for (size_t column = 0; column < g->out;)
            column += run_columns(g, first, last, column, y, ldy, tick);
    }
}

void
sst_gemm(const sst_kernels *kernels, const float *x, size_t ldx, size_t rows,
         const float *panels, size_t in, size_t out, float *y, size_t ldy,
         sst_epilogue epilogue, const sst_tick *tick)
{
    const gemm  g = {
        .kernels = kernels, .tile = kernels->f32, .x = x, .row_bytes = ldx * sizeof(float), .ldx = ldx, .rows = rows,
        .panels = (const char *) panels, .panel_bytes = sst_panel_bytes(SST_FP32, in), .in = in, .out = out,
        .epilogue = epilogue
    };

    run_blocks(&g, y, ldy, tick);
}

void
sst_gemm_s8(const sst_kernels *kernels, const uint8_t *x, const sst_row_scale *scales, size_t rows,
            const sst_s8_panel *panels, size_t in, size_t out, float *y, size_t ldy,
            sst_epilogue epilogue, const sst_tick *tick)
{
    const size_t ldx = (in + 3) / 4 * 4;
    const gemm  g = {
        .kernels = kernels, .tile = kernels->s8, .x = x, .row_bytes = ldx, .ldx = ldx, .scales = scales, .rows = rows,
        .panels = (const char *) panels, .panel_bytes = sst_panel_bytes(SST_INT8, in), .in = in, .out = out,
        .epilogue = epilogue
    };

    run_blocks(&g, y, ldy, tick);
}
