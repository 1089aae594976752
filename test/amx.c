/*
 * amx.c - kernels/amxint8.c with its instructions emulated, for machines without AMX: its products against plain C bit for bit,
 * whole passes too, and that no tick finds tiles configured. Where there is AMX, its own products too. Prints TAP.
 *
 *   amx MODEL.dsst
 *
 * MODEL.dsst is in int8, and small.
 */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "core/forward.h"
#include "map_model.h"
#include "splitmix64.h"
#include "support/emulated_amx.h"
#include "support/sanitized.h"
#include "support/tap.h"

#define TEXTS 9

static uint64_t seed = 42;

static uint64_t
next_random(void)
{
    return splitmix64(&seed);
}

static void
fill_bytes(void *bytes, size_t n, bool extreme)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *) bytes)[i] = extreme ? 0x7f | (uint8_t) (next_random() << 7) : (uint8_t) next_random();
}

static void
fill_floats(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (float) ((double) (next_random() >> 11) * 0x1p-52 - 1);
}

/* ---- products -------------------------------------------------------------------------------- */

/* A call of gemm_s8, from memory that ends where it must not be read on. */
typedef struct product
{
    int         rows;
    int         panels;
    size_t      k;
    size_t      ldx;
    size_t      ldy;
    uint8_t    *x;
    sst_row_scale *scales;
    char       *w;
} product;

static product
random_product(int rows, int panels, size_t k, bool extreme)
{
    const size_t bytes = sst_panel_bytes(SST_INT8, k);
    product     p = {.rows = rows, .panels = panels, .k = k, .ldx = (k + 63) / 64 * 64, .ldy = (size_t) panels * SST_LANES + 3};

    p.x = malloc((size_t) rows * p.ldx);
    p.scales = malloc((size_t) rows * sizeof(sst_row_scale));
    p.w = malloc((size_t) panels * bytes);
    fill_bytes(p.x, (size_t) rows * p.ldx, extreme);
    for (int r = 0; r < rows; r++)
        p.scales[r] = (sst_row_scale) {.scale = 0.01f * (float) r, .zero = (int32_t) (next_random() % 256)};
    fill_bytes(p.w, (size_t) panels * bytes, extreme);
    for (int i = 0; i < panels; i++)
    {
        sst_s8_panel *panel = (sst_s8_panel *) (p.w + (size_t) i * bytes);

        fill_floats(panel->bias, SST_LANES);
        fill_floats(panel->scale, SST_LANES);
    }
    return p;
}

static void
by_c(const product *p, float *y, sst_epilogue epilogue)
{
    for (int row = 0; row < p->rows; row++)
        for (int panel = 0; panel < p->panels; panel++)
            sst_kernels_c.gemm_s8(1, 1, p->x + (size_t) row * p->ldx, p->ldx, p->scales + row,
                                  p->w + (size_t) panel * sst_panel_bytes(SST_INT8, p->k), p->k, p->w,
                                  y + (size_t) row * p->ldy + panel * SST_LANES, p->ldy, epilogue);
}

static bool
equals_c(const sst_kernels *kernels, int rows, int panels, size_t k, sst_epilogue epilogue, bool extreme)
{
    product     p = random_product(rows, panels, k, extreme);
    const size_t size = ((size_t) (rows - 1) * p.ldy + (size_t) panels * SST_LANES) * sizeof(float);
    float      *expected = malloc(size),
               *got = malloc(size);
    bool        equal;

    fill_floats(expected, size / sizeof(float));
    memcpy(got, expected, size);
    by_c(&p, expected, epilogue);
    kernels->gemm_s8(rows, panels, p.x, p.ldx, p.scales, p.w, k, p.w, got, p.ldy, epilogue);
    equal = memcmp(expected, got, size) == 0 && emulated_tiles_are_released();
    free(p.x);
    free(p.scales);
    free(p.w);
    free(expected);
    free(got);
    return equal;
}

static void
test_products(const sst_kernels *kernels)
{
    bool        equal = true;

    for (int rows = 1; rows <= 70; rows++)
        for (int panels = 1; panels <= 5; panels++)
            equal = equal && equals_c(kernels, rows, panels, 1 + next_random() % 200, next_random() % 2 ? SST_ADD : SST_STORE,
                                      next_random() % 4 == 0);
    ok(equal, "products of 1 to 70 rows, 1 to 5 panels and 1 to 200 inputs equal C, and read nothing beyond");
    for (size_t k = 4; k <= 256; k += 4)
        equal = equal && equals_c(kernels, 33, 2, k, SST_ADD, false);
    ok(equal, "so do those of all multiples of 4 inputs up to 256");
    ok(equals_c(kernels, 481, 3, 80, SST_ADD, false) && equals_c(kernels, 512, 1, 64, SST_STORE, false) &&
       equals_c(kernels, 4, 32, 64, SST_STORE, false) && equals_c(kernels, 5, 3, 16384, SST_STORE, true), "and the largest");
}

/* ---- whole passes ---------------------------------------------------------------------------- */

static sst_model model;
static int32_t ids[TEXTS * 64];
static size_t start[TEXTS + 1];

/* Texts of 1 to 64 tokens. */
static void
make_texts(void)
{
    for (size_t b = 0; b < TEXTS; b++)
        start[b + 1] = start[b] + (b == 0 ? 1 : 64 - next_random() % (8 * b));
    for (size_t i = 0; i < start[TEXTS]; i++)
        ids[i] = (int32_t) (next_random() % model.shape.vocab);
}

typedef struct ticks
{
    size_t      count;
    size_t      jump_at;        /* the tick that does not return; 0: all do */
    bool        released;
    jmp_buf     out;
} ticks;

static void
tick(void *arg)
{
    ticks      *t = arg;

    t->released = t->released && emulated_tiles_are_released();
    if (++t->count == t->jump_at)
        longjmp(t->out, 1);
}

/* The logits of all texts in one batch. */
static void
forward(const sst_kernels *kernels, float *logits, ticks *t)
{
    const sst_tick each = {tick, t};
    void       *workspace = aligned_alloc(64, (sst_workspace_size(&model) + 63) / 64 * 64);

    memset(workspace, 0xff, sst_workspace_size(&model));
    if (setjmp(t->out) == 0)
        sst_forward(&model, kernels, ids, start, TEXTS, logits, workspace, &each);
    free(workspace);
}

static void
test_passes(void)
{
    float       expected[TEXTS * SST_MAX_LABELS],
                got[TEXTS * SST_MAX_LABELS];
    const size_t size = TEXTS * model.shape.labels * sizeof(float);
    ticks       plain = {.released = true},
                whole = {.released = true};

    emulated_configurations = 0;
    forward(&sst_kernels_c, expected, &plain);
    forward(&sst_kernels_emulated_amx, got, &whole);
    ok(memcmp(expected, got, size) == 0, "a batch's logits equal those of C");
    printf("# %d calls went to AMX\n", emulated_configurations);
    ok(emulated_configurations > 20, "which AMX took part in");
    ok(whole.released, "no tick finds tiles configured");
    for (size_t at = 1; at <= whole.count; at += 1 + whole.count / 50)
    {
        ticks       t = {.released = true, .jump_at = at};

        forward(&sst_kernels_emulated_amx, got, &t);
        whole.released = whole.released && t.count == at && emulated_tiles_are_released();
    }
    ok(whole.released, "nor does who takes over after one that does not return");
}

int
main(int argc, char **argv)
{
    const sst_kernels *best = sst_kernels_get(SST_ISA_AMXINT8);

    if (argc != 2)
        return 2;
    map_model(argv[1], &model);
    make_texts();
    test_products(&sst_kernels_emulated_amx);
    if (strcmp(best->name, "amxint8") == 0)
        test_products(best);    /* this CPU's own */
    test_passes();
    printf("1..%d\n", tests);
    return failures != 0;
}
