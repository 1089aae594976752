/*
 * amxint8.c - AVX-512 with the int8 products of AMX: an instruction multiplies 16 rows, 64 inputs and 16 columns.
 *
 * The eight tiles hold the sums of two tiles of rows times two panels, and these four operands. In a call all tiles of rows
 * have the same height, so that the tiles are configured once: it takes as long as a dozen products. Where rows are
 * missing for that, the last tile begins early and sums some rows a second time. The sums pass through memory, and are made
 * floats while the next ones are on their way. Between calls the tiles are released: saving them would make every switch of
 * threads dear, also when a tick does not return.
 */
#include <string.h>

#include "kernels.h"

#if defined(SST_EMULATED_TILES) /* a test's own v16 and tile_... */
#define SST_TILES
#elif defined(SST_HAS_AMXINT8)
#define SST_TILES
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512vnni"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vnni")
#endif
#include "tiles.h"
#include "v16_avx512.h"

#define SST_S8_SMALL &sst_kernels_avx512vnni

typedef uint8_t s8_value;
#define v16_store_values v16_store_bytes
#endif

#if defined(SST_TILES)
#define SST_KERNELS sst_kernels_amxint8
#define SST_ISA SST_ISA_AMXINT8
#define SST_ISA_NAME "amxint8"
#define SST_S8_ROWS 512
#define SST_S8_PANELS 32
#define SST_S8_FILL 64          /* an instruction's inputs */
#define SST_OWN_GEMM_S8
#include "template.h"

#define HEIGHT 16               /* rows of a tile, at most */
#define STEP SST_S8_FILL
#define STEP_BYTES (STEP * SST_LANES)   /* of weights */

/* What LDTILECFG reads. */
typedef struct tile_shapes
{
    uint8_t     palette;
    uint8_t     start_row;
    uint8_t     reserved[14];
    uint16_t    row_bytes[16];
    uint8_t     rows[16];
} tile_shapes;

/* Tiles 0 to 3 are sums, 4 and 5 rows, 6 and 7 weights. */
#define SHAPES(height) \
    {.palette = 1, .row_bytes = {STEP, STEP, STEP, STEP, STEP, STEP, STEP, STEP}, \
        .rows = {height, height, height, height, height, height, STEP / 4, STEP / 4}}

static const tile_shapes shapes[HEIGHT] = {
    SHAPES(1), SHAPES(2), SHAPES(3), SHAPES(4), SHAPES(5), SHAPES(6), SHAPES(7), SHAPES(8),
    SHAPES(9), SHAPES(10), SHAPES(11), SHAPES(12), SHAPES(13), SHAPES(14), SHAPES(15), SHAPES(16),
};

/* The sums of two tiles of rows times two panels. */
typedef int32_t tile_sums[2][2][HEIGHT][SST_LANES];

/* A call of gemm_s8: its arguments, and what follows from them. */
typedef struct product
{
    int         rows;
    int         panels;
    const s8_value *x;
    size_t      ldx;
    const sst_row_scale *scales;
    const char *w;
    size_t      panel_bytes;
    size_t      k;
    const char *ahead;
    float      *y;
    size_t      ldy;
    sst_epilogue epilogue;
    int         height;         /* of the tiles of rows */
    int         pairs;          /* of them */
    char       *last;           /* [2][STEP_BYTES] the last weights of two panels, filled up by 0 */
} product;

static int
first_row(const product *p, int tile)
{
    return tile * p->height < p->rows - p->height ? tile * p->height : p->rows - p->height;
}

static const sst_s8_panel *
panel_at(const product *p, int panel)
{
    return (const sst_s8_panel *) (p->w + (panel < p->panels ? panel : p->panels - 1) * p->panel_bytes);
}

/* 64 inputs more of two tiles of rows and of two panels. */
SST_INLINE void
add_step(const s8_value *x0, const s8_value *x1, size_t ldx, const void *w0, const void *w1)
{
    tile_load(4, x0, ldx);
    tile_load(6, w0, 4 * SST_LANES);
    tile_add_products(0, 4, 6);
    tile_load(7, w1, 4 * SST_LANES);
    tile_add_products(1, 4, 7);
    tile_load(5, x1, ldx);
    tile_add_products(2, 5, 6);
    tile_add_products(3, 5, 7);
}

/* Asks for as many weights of two panels. */
SST_INLINE void
fetch_step(const char *w)
{
    for (size_t i = 0; i < 2 * STEP_BYTES; i += 64)
        __builtin_prefetch(w + i, 0, 2);
}

/* The sums of two tiles of rows, from tile on, times panel and the next. */
static void
sum_tiles(const product *p, int tile, int panel, tile_sums sums)
{
    const s8_value *x0 = p->x + first_row(p, tile) * p->ldx,
               *x1 = p->x + first_row(p, tile + 1) * p->ldx;
    const int8_t *w0 = panel_at(p, panel)->weights,
               *w1 = panel_at(p, panel + 1)->weights;
    const char *ahead = panel + 2 < p->panels ? (const char *) panel_at(p, panel + 2) : p->ahead;
    const size_t whole = p->k / STEP * STEP;

    tile_zero(0);
    tile_zero(1);
    tile_zero(2);
    tile_zero(3);
    for (size_t k = 0; k < whole; k += STEP)
    {
        if (tile == 0)
            fetch_step(ahead + 2 * k * SST_LANES);
        add_step(x0 + k, x1 + k, p->ldx, w0 + k * SST_LANES, w1 + k * SST_LANES);
    }
    if (whole < p->k)
    {
        const size_t bytes = (p->k - whole + 3) / 4 * 4 * SST_LANES;

        memcpy(p->last, w0 + whole * SST_LANES, bytes);
        memcpy(p->last + STEP_BYTES, w1 + whole * SST_LANES, bytes);
        add_step(x0 + whole, x1 + whole, p->ldx, p->last, p->last + STEP_BYTES);
    }
    tile_store(0, sums[0][0], sizeof(sums[0][0][0]));
    tile_store(1, sums[0][1], sizeof(sums[0][0][0]));
    tile_store(2, sums[1][0], sizeof(sums[0][0][0]));
    tile_store(3, sums[1][1], sizeof(sums[0][0][0]));
}

/* What these become, without rows and panels that came twice. */
static void
finish_tiles(const product *p, int tile, int panel, tile_sums sums)
{
    for (int t = 0; t < 2; t++)
        for (int c = 0; c < 2 && panel + c < p->panels; c++)
        {
            const int   first = first_row(p, tile + t),
                        end = first + p->height;

            for (int row = (tile + t) * p->height; row < end; row++)
                s8_finish(v16i_load(sums[t][c][row - first]), &p->scales[row], panel_at(p, panel + c),
                          p->y + row * p->ldy + (panel + c) * SST_LANES, p->epilogue);
        }
}

static void
gemm_s8(int rows, int panels, const void *x, size_t ldx, const sst_row_scale *scales, const void *w, size_t k,
        const char *ahead, float *y, size_t ldy, sst_epilogue epilogue)
{
    const int   pairs = (rows + 2 * HEIGHT - 1) / (2 * HEIGHT);
    const int   steps = pairs * ((panels + 1) / 2);
    _Alignas(64) char last[2 * STEP_BYTES];
    _Alignas(64) tile_sums sums[2];
    const product p = {
        .rows = rows, .panels = panels, .x = x, .ldx = ldx, .scales = scales, .w = w,
        .panel_bytes = sst_panel_bytes(SST_INT8, k), .k = k, .ahead = ahead, .y = y, .ldy = ldy, .epilogue = epilogue,
        .height = (rows + 2 * pairs - 1) / (2 * pairs), .pairs = pairs, .last = last
    };

    if (k % STEP)
        memset(last, 0, sizeof(last));
    tile_configure(&shapes[p.height - 1]);
    for (int i = 0; i <= steps; i++)
    {
        if (i < steps)
            sum_tiles(&p, i % pairs * 2, i / pairs * 2, sums[i % 2]);
        if (i > 0)
            finish_tiles(&p, (i - 1) % pairs * 2, (i - 1) / pairs * 2, sums[(i - 1) % 2]);
    }
    tile_release();
}

#if !defined(SST_EMULATED_TILES)
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
#endif
