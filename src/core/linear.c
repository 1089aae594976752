/*
 * linear.c - a matrix of any number of rows times panels, in tiles that the kernels take.
 *
 * Rows go in blocks whose inputs stay in the L2 cache while all panels pass by; within a block, a pair of panels
 * stays there while the block's tiles pass by. The first of these tiles fetch the next panels ahead of their use, which
 * hides the memory behind arithmetic. Blocks and tiles never change a sum (see sst.h, One answer).
 */
#include <string.h>

#include "forward.h"

#define BLOCK_BYTES (384 * 1024)    /* inputs of one block, beside panels of up to 393 KB in 1 MB of L2 */

/* Rows go in as few tiles as they can, of nearly equal height: the next one's, of rows that are left. */
static int
tile_height(size_t rows, int most)
{
    size_t      tiles = (rows + most - 1) / most;

    return (int) ((rows + tiles - 1) / tiles);
}

typedef struct gemm
{
    const sst_kernels *kernels;
    sst_tile    tile;
    const void *x;
    size_t      row_bytes;      /* of x: from one row to the next */
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
        g->kernels->gemm_s8(rows, panels, x, g->row_bytes / g->kernels->s8_value_bytes, g->scales + row, panel, g->in, ahead,
                            y, ldy, g->epilogue);
    else
        g->kernels->gemm_f32(rows, panels, x, g->row_bytes / sizeof(float), (const float *) panel, g->in, ahead,
                             y, ldy, g->epilogue);
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

/* Rows first .. last - 1 of the columns that begin at column. Returns how many columns. */
static size_t
run_columns(const gemm *g, size_t first, size_t last, size_t column, float *y, size_t ldy, const sst_tick *tick)
{
    const char *panel = g->panels + column / SST_LANES * g->panel_bytes;
    size_t      left = g->out - column;
    size_t      whole = left / SST_LANES;
    int         panels = whole >= (size_t) g->tile.panels ? g->tile.panels : whole > 0 ? (int) whole : 1;
    size_t      columns = left < SST_LANES ? left : (size_t) panels * SST_LANES;
    int         most = columns < SST_LANES && g->tile.rows > SST_MAX_TILE_ROWS ? SST_MAX_TILE_ROWS : g->tile.rows;
    const char *ahead = panel + (size_t) panels * g->panel_bytes;
    const char *ahead_end = ahead + (size_t) panels * g->panel_bytes;

    for (size_t row = first; row < last;)
    {
        int         rows = tile_height(last - row, most);
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

/* Rows first .. last - 1 of all columns. */
static void
run_block(const gemm *g, size_t first, size_t last, float *y, size_t ldy, const sst_tick *tick)
{
    for (size_t column = 0; column < g->out;)
        column += run_columns(g, first, last, column, y, ldy, tick);
}

/* Rows of so many bytes that are a block. */
static size_t
block_rows(size_t row_bytes)
{
    return BLOCK_BYTES / row_bytes > SST_MAX_TILE_ROWS ? BLOCK_BYTES / row_bytes : SST_MAX_TILE_ROWS;
}

void
sst_gemm(const sst_kernels *kernels, const float *x, size_t ldx, size_t rows,
         const float *panels, size_t in, size_t out, float *y, size_t ldy,
         sst_epilogue epilogue, const sst_tick *tick)
{
    const gemm  g = {
        .kernels = kernels, .tile = kernels->f32, .x = x, .row_bytes = ldx * sizeof(float), .rows = rows,
        .panels = (const char *) panels, .panel_bytes = sst_panel_bytes(SST_FP32, in), .in = in, .out = out,
        .epilogue = epilogue
    };
    const size_t block = block_rows(g.row_bytes);

    for (size_t first = 0; first < rows; first += block)
        run_block(&g, first, rows - first < block ? rows : first + block, y, ldy, tick);
}

/* Of a quantized row. */
static size_t
s8_row_bytes(const sst_kernels *kernels, size_t in)
{
    return (in + kernels->s8_fill - 1) / kernels->s8_fill * kernels->s8_fill * kernels->s8_value_bytes;
}

size_t
sst_s8_block(const sst_kernels *kernels, size_t in)
{
    return block_rows(s8_row_bytes(kernels, in));
}

void
sst_quantize(const sst_kernels *kernels, sst_quantizer *quantize, const float *x, size_t ldx, size_t rows, size_t in,
             void *values, sst_row_scale *scales)
{
    const size_t row_bytes = s8_row_bytes(kernels, in);

    for (size_t row = 0; row < rows; row++)
        quantize(x + row * ldx, in, (char *) values + row * row_bytes, &scales[row]);
}

/* The table itself, or the one for what is small: fewer than 4 rows, or some 1000 cycles of VNNI. */
static const sst_kernels *
s8_kernels(const sst_kernels *kernels, size_t rows, size_t in, size_t out)
{
    const bool  small = rows < 4 || rows * in * out < 2048 * 64;

    return small && kernels->s8_small ? kernels->s8_small : kernels;
}

void
sst_gemm_s8(const sst_kernels *kernels, const void *x, const sst_row_scale *scales, size_t rows,
            const sst_s8_panel *panels, size_t in, size_t out, float *y, size_t ldy,
            sst_epilogue epilogue, const sst_tick *tick)
{
    const sst_kernels *best = s8_kernels(kernels, rows, in, out);
    const gemm  g = {
        .kernels = best, .tile = best->s8, .x = x, .row_bytes = s8_row_bytes(kernels, in), .scales = scales,
        .rows = rows, .panels = (const char *) panels, .panel_bytes = sst_panel_bytes(SST_INT8, in), .in = in,
        .out = out, .epilogue = epilogue
    };

    run_block(&g, 0, rows, y, ldy, tick);
}
