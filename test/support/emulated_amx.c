/*
 * emulated_amx.c - kernels/amxint8.c itself on any machine: the tile instructions, and all else, in plain C.
 *
 * They do what Intel's manual says of TILELOADD and the others, and stop where a CPU would raise #UD or #GP.
 */
#include "emulated_amx.h"

#include <stdlib.h>

#define SST_EMULATED_TILES
#define sst_kernels_amxint8 sst_kernels_emulated_amx

#include "core/kernels/v16_c.h"

#define SST_S8_SMALL &sst_kernels_c

#define TILES 8

struct tile_shapes;

static struct
{
    uint8_t     palette;        /* 0: released */
    uint16_t    row_bytes[TILES];
    uint8_t     rows[TILES];
    uint8_t     bytes[TILES][16][64];
} state;

int         emulated_configurations;

bool
emulated_tiles_are_released(void)
{
    return state.palette == 0;
}

static void
demand(bool condition)
{
    if (!condition)
        abort();
}

static void
tile_release(void)
{
    memset(&state, 0, sizeof(state));
}

static void
tile_configure(const struct tile_shapes *shapes)
{
    const uint8_t *memory = (const uint8_t *) shapes;

    tile_release();
    emulated_configurations++;
    state.palette = memory[0];
    demand(state.palette == 1 && memory[1] == 0);
    for (int i = 2; i < 16; i++)
        demand(memory[i] == 0);
    for (int t = 0; t < 16; t++)
    {
        const int   row_bytes = memory[16 + 2 * t] | memory[17 + 2 * t] << 8,
                    rows = memory[48 + t];

        demand(row_bytes <= (t < TILES ? 64 : 0) && rows <= (t < TILES ? 16 : 0) && (row_bytes == 0) == (rows == 0));
        if (t < TILES)
        {
            state.row_bytes[t] = (uint16_t) row_bytes;
            state.rows[t] = (uint8_t) rows;
        }
    }
}

static void
tile_zero(int t)
{
    demand(state.rows[t] > 0);
    memset(state.bytes[t], 0, sizeof(state.bytes[t]));
}

static void
tile_load(int t, const void *from, size_t stride)
{
    tile_zero(t);
    for (size_t row = 0; row < state.rows[t]; row++)
        memcpy(state.bytes[t][row], (const char *) from + row * stride, state.row_bytes[t]);
}

static void
tile_store(int t, void *to, size_t stride)
{
    demand(state.rows[t] > 0);
    for (size_t row = 0; row < state.rows[t]; row++)
        memcpy((char *) to + row * stride, state.bytes[t][row], state.row_bytes[t]);
}

/* s += x * w: rows of unsigned bytes; w has quads of signed bytes, a column each, in rows. */
static void
tile_add_products(int s, int x, int w)
{
    const int   quads = state.row_bytes[x] / 4;

    demand(s != x && s != w && x != w);
    demand(state.rows[s] > 0 && state.rows[s] == state.rows[x] && state.row_bytes[s] == state.row_bytes[w] &&
           state.rows[w] == quads && state.row_bytes[x] % 4 == 0 && state.row_bytes[s] % 4 == 0);
    for (int row = 0; row < state.rows[s]; row++)
        for (int column = 0; column < state.row_bytes[s] / 4; column++)
        {
            uint32_t    sum;

            memcpy(&sum, state.bytes[s][row] + 4 * column, sizeof(sum));
            for (int i = 0; i < 4 * quads; i++)
                sum += (uint32_t) (state.bytes[x][row][i] * (int8_t) state.bytes[w][i / 4][4 * column + i % 4]);
            memcpy(state.bytes[s][row] + 4 * column, &sum, sizeof(sum));
        }
}

#include "core/kernels/amxint8.c"
