/*
 * kernels.c - every kernel table of this CPU against plain C, bit for bit, and int8 products against 64-bit integers. Prints TAP.
 */
#include <stdlib.h>

#include "core/forward.h"
#include "support/floats.h"
#include "support/sanitized.h"
#include "support/tap.h"

static bool
same_gemm(const sst_kernels *kernels, size_t rows, size_t in, size_t out, sst_epilogue epilogue, bool extremes)
{
    size_t      ldx = in + next_random() % 5,
                ldy = out + next_random() % 5;
    size_t      weights = sst_round_up(out) * (1 + in);
    float      *x = malloc(rows * ldx * sizeof(float));
    float      *w = malloc(weights * sizeof(float));
    float      *expected = malloc(rows * ldy * sizeof(float));
    float      *got = malloc(rows * ldy * sizeof(float));
    bool        equal;

    fill(x, rows * ldx, extremes);
    fill(w, weights, extremes);
    fill(expected, rows * ldy, false);
    memcpy(got, expected, rows * ldy * sizeof(float));
    sst_gemm(&sst_kernels_c, x, ldx, rows, w, in, out, expected, ldy, epilogue, NULL);
    sst_gemm(kernels, x, ldx, rows, w, in, out, got, ldy, epilogue, NULL);
    equal = same(expected, got, rows * ldy);
    free(x);
    free(w);
    free(expected);
    free(got);
    return equal;
}

static void
test_gemm(const sst_kernels *kernels)
{
    static const size_t widths[] = {1, 2, 15, 16, 17, 31, 32, 33, 48, 64, 100};
    char        name[100];
    bool        equal = true;

    for (size_t rows = 1; rows <= 30 && equal; rows++)
        for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]) && equal; i++)
            for (int epilogue = SST_STORE; epilogue <= SST_ADD && equal; epilogue++)
                equal = same_gemm(kernels, rows, 1 + next_random() % 70, widths[i], epilogue, next_random() % 2);
    equal = equal && same_gemm(kernels, 131, 1024, 40, SST_STORE, false);   /* more than one block of rows */
    snprintf(name, sizeof(name), "%s: gemm equals C on rows 1 to 30 and 131, odd widths, extremes", kernels->name);
    ok(equal, name);
}

/* An int8 product by 64-bit integers, straight from the definition. */
static float
exact_s8(const uint8_t *x, const sst_row_scale *row, const sst_s8_panel *panel, size_t column, size_t in)
{
    int64_t     sum = 0;

    for (size_t k = 0; k < in; k++)
        sum += ((int64_t) x[k] - row->zero) * panel->weights[(k / 4 * SST_LANES + column) * 4 + k % 4];
    return fmaf((float) sum, row->scale * panel->scale[column], panel->bias[column]);
}

/* Panels of random weights; if extreme, all are 127 or -127. */
static sst_s8_panel *
random_panels(size_t in, size_t out, bool extreme)
{
    size_t      bytes = sst_panel_bytes(SST_INT8, in);
    char       *panels = aligned_alloc(64, sst_round_up(out) / SST_LANES * bytes);

    memset(panels, 0, sst_round_up(out) / SST_LANES * bytes);
    for (size_t n = 0; n < out; n++)
    {
        sst_s8_panel *panel = (sst_s8_panel *) (panels + n / SST_LANES * bytes);
        size_t      column = n % SST_LANES;

        panel->bias[column] = (float) uniform(-1, 1);
        panel->scale[column] = (float) uniform(0, 0.01);
        for (size_t k = 0; k < in; k++)
        {
            int8_t      w = extreme ? (n % 2 ? 127 : -127) : (int8_t) (next_random() % 255 - 127);

            panel->weights[(k / 4 * SST_LANES + column) * 4 + k % 4] = w;
            panel->sum[column] += w;
        }
    }
    return (sst_s8_panel *) panels;
}

/* A quantized activation in the type that a table's gemm_s8 takes. */
static void
put_value(const sst_kernels *kernels, void *values, size_t i, uint8_t value)
{
    if (kernels->s8_value_bytes == 1)
        ((uint8_t *) values)[i] = value;
    else
        ((uint16_t *) values)[i] = value;
}

static int
get_value(const sst_kernels *kernels, const void *values, size_t i)
{
    return kernels->s8_value_bytes == 1 ? ((const uint8_t *) values)[i] : ((const uint16_t *) values)[i];
}

static bool
right_s8(const sst_kernels *kernels, size_t rows, size_t in, size_t out, bool extreme)
{
    size_t      ldx = (in + kernels->s8_fill - 1) / kernels->s8_fill * kernels->s8_fill;
    uint8_t    *x = calloc(rows, ldx);
    void       *values = calloc(rows, ldx * kernels->s8_value_bytes);
    sst_row_scale *scales = calloc(rows, sizeof(sst_row_scale));
    sst_s8_panel *panels = random_panels(in, out, extreme);
    float      *y = calloc(rows * out, sizeof(float));
    bool        right = true;

    for (size_t r = 0; r < rows; r++)
    {
        for (size_t k = 0; k < in; k++)
            x[r * ldx + k] = extreme ? 255 : (uint8_t) next_random();
        scales[r].scale = (float) uniform(0, 0.1);
        scales[r].zero = (int32_t) (next_random() % 256);
    }
    for (size_t i = 0; i < rows * ldx; i++)
        put_value(kernels, values, i, x[i]);
    sst_gemm_s8(kernels, values, scales, rows, panels, in, out, y, out, SST_STORE, NULL);
    for (size_t r = 0; r < rows; r++)
        for (size_t n = 0; n < out; n++)
            right = right && y[r * out + n] == exact_s8(x + r * ldx, &scales[r], (const sst_s8_panel *)
                                                        ((char *) panels + n / SST_LANES * sst_panel_bytes(SST_INT8, in)),
                                                        n % SST_LANES, in);
    free(x);
    free(values);
    free(scales);
    free(panels);
    free(y);
    return right;
}

static void
test_gemm_s8(const sst_kernels *kernels)
{
    static const size_t widths[] = {1, 15, 16, 17, 32, 40, 64};
    char        name[100];
    bool        right = true;

    for (size_t rows = 1; rows <= 20; rows++)
        for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++)
            right = right && right_s8(kernels, rows, 1 + next_random() % 90, widths[i], next_random() % 2);
    right = right && right_s8(kernels, 7, 3072, 48, true) && right_s8(kernels, 5, 16384, 33, true);
    snprintf(name, sizeof(name), "%s: int8 gemm equals 64-bit integers, 255 times 127 16384 times too", kernels->name);
    ok(right, name);
}

/* Quantized rows are within a step of x, and the same bytes as C's, even of extremes. */
static void
test_quantize(const sst_kernels *kernels)
{
    char        name[100];
    bool        close = true,
                equal = true;

    for (size_t n = 1; n <= 300; n++)
    {
        float       x[300];
        uint8_t     expected[304] = {0};
        uint16_t    got[304] = {0};
        sst_row_scale c,
                    row;
        float       shift = (float) uniform(-3, 3);
        bool        extremes = n % 4 == 0;

        fill(x, n, extremes);
        for (size_t i = 0; i < n; i++)
            x[i] += shift;
        sst_kernels_c.quantize(x, n, expected, &c);
        kernels->quantize(x, n, got, &row);
        equal = equal && same(&c.scale, &row.scale, 1) && c.zero == row.zero;
        for (size_t i = 0; i < (n + 3) / 4 * 4; i++)
            equal = equal && get_value(kernels, got, i) == expected[i];
        for (size_t i = 0; i < n && !extremes; i++)
            close = close && fabsf(row.scale * (float) (expected[i] - row.zero) - x[i]) <= row.scale * 1.001f;
    }
    snprintf(name, sizeof(name), "%s: quantized rows are within a step of x and equal C", kernels->name);
    ok(close && equal, name);
}

/* x [n], padded to a multiple of 16 for softmax. */
static void
fill_up(float *x, size_t n, bool extremes)
{
    fill(x, n, extremes);
    for (size_t i = n; i < sst_round_up(n); i++)
        x[i] = -INFINITY;
}

/* Softmax in 8 bits: within half a step of softmax, and the same bytes as C. */
static void
test_quantize_softmax(const sst_kernels *kernels)
{
    char        name[100];
    bool        close = true,
                equal = true;

    for (size_t n = 1; n <= 300; n++)
    {
        const size_t padded = sst_round_up(n);
        float       x[304];
        uint8_t     expected[304];
        uint16_t    got[304];
        sst_row_scale c,
                    row;

        fill_up(x, n, n % 4 == 0);
        sst_kernels_c.quantize_softmax(x, padded, expected, &c);
        kernels->quantize_softmax(x, padded, got, &row);
        equal = equal && same(&c.scale, &row.scale, 1) && row.zero == 0;
        kernels->softmax(x, padded);
        for (size_t i = 0; i < padded && !isnan(row.scale); i++)
        {
            close = close && fabsf(row.scale * (float) expected[i] - x[i]) <= row.scale * 0.501f;
            equal = equal && get_value(kernels, got, i) == expected[i];
        }
        close = close && isnan(row.scale) == isnan(x[0]);
    }
    snprintf(name, sizeof(name), "%s: softmax in 8 bits is within half a step of softmax and equals C", kernels->name);
    ok(close && equal, name);
}

static bool
same_panels(const sst_s8_panel *a, const sst_s8_panel *b, size_t n)
{
    return same(a->bias, b->bias, SST_LANES) && same(a->scale, b->scale, SST_LANES) &&
        memcmp(a->sum, b->sum, sizeof(a->sum)) == 0 &&
        memcmp(a->weights, b->weights, (n + 3) / 4 * 4 * SST_LANES) == 0;
}

/* Is column c of a panel within half a step of x [n], of steps step apart, and its sum that of its weights? */
static bool
right_column(const sst_s8_panel *panel, size_t c, const float *x, size_t n, size_t step)
{
    int32_t     sum = 0;

    for (size_t i = 0; i < (n + 3) / 4 * 4; i++)
    {
        int8_t      w = panel->weights[(i / 4 * SST_LANES + c) * 4 + i % 4];

        sum += w;
        if (i < n ? fabsf(panel->bias[c] + panel->scale[c] * (float) w - x[i * step]) > panel->scale[c] * 0.501f + 1e-6f : w != 0)
            return false;
    }
    return sum == panel->sum[c];
}

/* Columns of keys and panels of values, from float. */
static void
test_quantize_panels(const sst_kernels *kernels)
{
    sst_s8_panel *expected = malloc(sst_panel_bytes(SST_INT8, 100)),
               *got = malloc(sst_panel_bytes(SST_INT8, 100));
    char        name[100];
    bool        equal = true,
                right = true;

    for (size_t n = 1; n <= 100; n++)
    {
        const size_t columns = 1 + n % SST_LANES;
        const bool  extremes = n % 4 == 0;
        float       x[100 * SST_LANES];

        fill(x, n * SST_LANES, extremes);
        x[0] += 5;              /* a mean other than 0 */
        for (size_t c = 0; c < SST_LANES; c++)
        {
            sst_kernels_c.quantize_column(x + c * n, n, expected, c);
            kernels->quantize_column(x + c * n, n, got, c);
            right = right && (extremes || right_column(got, c, x + c * n, n, 1));
        }
        equal = equal && same_panels(expected, got, n);
        sst_kernels_c.quantize_panel(x, SST_LANES, n, columns, expected);
        kernels->quantize_panel(x, SST_LANES, n, columns, got);
        equal = equal && same_panels(expected, got, n);
        for (size_t c = 0; c < columns && !extremes; c++)
            right = right && right_column(got, c, x + c, n, SST_LANES);
        for (size_t c = columns; c < SST_LANES; c++)
            right = right && got->bias[c] == 0 && got->scale[c] == 0 && got->sum[c] == 0;
    }
    free(expected);
    free(got);
    snprintf(name, sizeof(name), "%s: keys and values in 8 bits are within half a step and equal C", kernels->name);
    ok(equal && right, name);
}

static void
test_rows(const sst_kernels *kernels)
{
    float       expected[600],
                got[600],
                weight[600],
                bias[600];
    bool        equal = true;
    char        name[100];

    for (size_t n = 1; n <= 560 && equal; n += n < 70 ? 1 : 29)
        for (int extremes = 0; extremes < 2 && equal; extremes++)
        {
            fill(weight, n, extremes);
            fill(bias, n, extremes);
            fill(expected, n, extremes);
            memcpy(got, expected, n * sizeof(float));
            sst_kernels_c.layer_norm(expected, weight, bias, n);
            kernels->layer_norm(got, weight, bias, n);
            equal = same(expected, got, n);

            fill_up(expected, n, extremes);
            memcpy(got, expected, sizeof(got));
            sst_kernels_c.softmax(expected, sst_round_up(n));
            kernels->softmax(got, sst_round_up(n));
            equal = equal && same(expected, got, n);

            fill(expected, n, extremes);
            memcpy(got, expected, n * sizeof(float));
            sst_kernels_c.gelu(expected, n);
            kernels->gelu(got, n);
            equal = equal && same(expected, got, n);
        }
    snprintf(name, sizeof(name), "%s: layer norm, softmax and gelu equal C on 1 to 560 lanes, extremes", kernels->name);
    ok(equal, name);
}

/* Any NaN stays one, whatever its other bits: softmax makes its row NaN, the others its lane, and its row's scale is NaN. */
static void
test_nan(const sst_kernels *kernels)
{
    static const size_t places[] = {0, 15, 16, 40};
    char        name[100];
    bool        nan = true;

    for (int bit = 0; bit < 23; bit++)
        for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        {
            const uint32_t bits = 0x7f800000 | UINT32_C(1) << bit;
            float       rows[4][64];
            uint8_t     values[2 * 64];
            sst_row_scale scale;

            for (size_t row = 0; row < 4; row++)
            {
                fill(rows[row], 64, false);
                memcpy(&rows[row][places[i]], &bits, sizeof(bits));
            }
            for (size_t lane = 50; lane < 64; lane++)
                rows[0][lane] = -INFINITY;
            kernels->quantize_softmax(rows[0], 64, values, &scale);
            nan = nan && isnan(scale.scale);
            kernels->softmax(rows[0], 64);
            for (size_t lane = 0; lane < 50; lane++)
                nan = nan && isnan(rows[0][lane]);
            kernels->gelu(rows[1], 50);
            kernels->layer_norm(rows[2], rows[1], rows[1], 50);
            kernels->quantize(rows[3], 50, values, &scale);
            nan = nan && isnan(rows[1][places[i]]) && isnan(rows[2][places[i]]) && isnan(scale.scale);
        }
    snprintf(name, sizeof(name), "%s: a NaN with any one of its bits set comes out as NaN", kernels->name);
    ok(nan, name);
}

int
main(void)
{
    for (int isa = SST_ISA_C; isa < SST_ISA_BEST; isa++)
    {
        const sst_kernels *kernels = sst_kernels_get((sst_isa) isa);

        if (kernels->isa != (sst_isa) isa)
            continue;           /* not on this CPU */
        test_gemm_s8(kernels);
        test_quantize(kernels);
        test_quantize_softmax(kernels);
        test_quantize_panels(kernels);
        test_nan(kernels);
        if (isa == SST_ISA_C)
            continue;
        test_gemm(kernels);
        test_rows(kernels);
    }
    printf("1..%d\n", tests);
    return failures != 0;
}
