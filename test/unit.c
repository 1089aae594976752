/*
 * unit.c - the core without a server: every kernel table of this CPU against plain C, bit for bit; exp, gelu, softmax and
 * layer norm against libm in double. Prints TAP.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/forward.h"
#include "core/packed.h"
#include "splitmix64.h"
#include "support/sanitized.h"
#include "support/tap.h"

static uint64_t seed = 42;

static uint64_t
next_random(void)
{
    return splitmix64(&seed);
}

static double
uniform(double low, double high)
{
    return low + (high - low) * (double) (next_random() >> 11) * 0x1p-53;
}

/* Mostly ordinary values; now and then one that strains the arithmetic. */
static void
fill(float *x, size_t n, bool extremes)
{
    static const float strange[] = {0.0f, -0.0f, 1e-45f, -1e-38f, 3e38f, -3e38f, 1e30f, INFINITY, -INFINITY, NAN,
        __builtin_nanf("1")};

    for (size_t i = 0; i < n; i++)
    {
        x[i] = (float) uniform(-2, 2);
        if (extremes && next_random() % 50 == 0)
            x[i] = strange[next_random() % (sizeof(strange) / sizeof(strange[0]))];
    }
}

/* The same bits, or both NaN: what a NaN's bits are is left to the CPU, and no NaN leaves sst_forward. */
static bool
same(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof(float)) != 0 && !(isnan(a[i]) && isnan(b[i])))
            return false;
    return true;
}

/* ---- kernels against C ----------------------------------------------------------------------- */

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

/* Panels of random weights, all of them +-127 where extreme. */
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

/* A quantized activation as a table's gemm_s8 takes it. */
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

/* Rows in the tiles of sst_gemm_s8: [quads][height][4], heights as equal as can be, the higher ones first. */
static void
to_tiles(const sst_kernels *kernels, const uint8_t *x, size_t rows, size_t ldx, void *tiles)
{
    size_t      count = (rows + kernels->s8.rows - 1) / kernels->s8.rows;
    size_t      row = 0;

    for (size_t t = 0; t < count; t++)
    {
        size_t      height = rows / count + (t < rows % count);

        for (size_t i = 0; i < ldx; i++)
            for (size_t r = 0; r < height; r++)
                put_value(kernels, tiles, row * ldx + (i / 4 * height + r) * 4 + i % 4, x[(row + r) * ldx + i]);
        row += height;
    }
}

static bool
right_s8(const sst_kernels *kernels, size_t rows, size_t in, size_t out, bool extreme)
{
    size_t      ldx = (in + 3) / 4 * 4;
    uint8_t    *x = calloc(rows, ldx);
    void       *tiles = calloc(rows, ldx * kernels->s8_value_bytes);
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
    to_tiles(kernels, x, rows, ldx, tiles);
    sst_gemm_s8(kernels, tiles, scales, rows, panels, in, out, y, out, SST_STORE, NULL);
    for (size_t r = 0; r < rows; r++)
        for (size_t n = 0; n < out; n++)
            right = right && y[r * out + n] == exact_s8(x + r * ldx, &scales[r], (const sst_s8_panel *)
                                                        ((char *) panels + n / SST_LANES * sst_panel_bytes(SST_INT8, in)),
                                                        n % SST_LANES, in);
    free(x);
    free(tiles);
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

/* Quantized rows: within half a step of x, 0 exactly a step; the same bytes as C, extremes too. */
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
        sst_kernels_c.quantize(x, n, expected, 4, &c);
        kernels->quantize(x, n, got, 4, &row);
        equal = equal && same(&c.scale, &row.scale, 1) && c.zero == row.zero;
        for (size_t i = 0; i < (n + 3) / 4 * 4; i++)
            equal = equal && get_value(kernels, got, i) == expected[i];
        for (size_t i = 0; i < n && !extremes; i++)
            close = close && fabsf(row.scale * (float) (expected[i] - row.zero) - x[i]) <= row.scale * 1.001f;
    }
    snprintf(name, sizeof(name), "%s: quantized rows are within a step of x and equal C", kernels->name);
    ok(close && equal, name);
}

/* x [n] filled up to a multiple of 16 as softmax wants it. */
static void
fill_up(float *x, size_t n, bool extremes)
{
    fill(x, n, extremes);
    for (size_t i = n; i < sst_round_up(n); i++)
        x[i] = -INFINITY;
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

/* A NaN stays one whatever bits it has besides: in softmax all of the row, elsewhere its lane, and no scale is finite. */
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
            kernels->softmax(rows[0], 64);
            for (size_t lane = 0; lane < 50; lane++)
                nan = nan && isnan(rows[0][lane]);
            kernels->gelu(rows[1], 50);
            kernels->layer_norm(rows[2], rows[1], rows[1], 50);
            kernels->quantize(rows[3], 50, values, 4, &scale);
            nan = nan && isnan(rows[1][places[i]]) && isnan(rows[2][places[i]]) && isnan(scale.scale);
        }
    snprintf(name, sizeof(name), "%s: a NaN with any one of its bits set comes out as NaN", kernels->name);
    ok(nan, name);
}

/* ---- formulas against libm ------------------------------------------------------------------- */

static float
gelu(float x)
{
    sst_kernels_c.gelu(&x, 1);
    return x;
}

static void
test_gelu(void)
{
    double      worst = 0;

    for (double x = -14; x < 14; x += 0.0007)
    {
        double      exact = 0.5 * (float) x * erfc(-(float) x / sqrt(2));
        double      error = fabs(gelu((float) x) - exact) / (1 + fabs(exact));

        worst = error > worst ? error : worst;
    }
    ok(worst < 1.2e-7, "gelu is within 1.2e-7 (1 + |gelu|) of erfc in double");
    ok(gelu(-1e30f) <= 0 && gelu(-1e30f) > -1e-18f && gelu(1e30f) == 1e30f && gelu(0.0f) == 0,
       "gelu of huge values and of 0");
}

static void
test_softmax(void)
{
    double      worst = 0;

    for (int round = 0; round < 300; round++)
    {
        size_t      n = 1 + next_random() % 300;
        float       x[320];
        double      exact[300],
                    sum = 0,
                    top = -INFINITY;

        for (size_t i = 0; i < n; i++)
        {
            x[i] = (float) uniform(-30, 30);
            top = x[i] > top ? x[i] : top;
        }
        for (size_t i = 0; i < n; i++)
            sum += exact[i] = exp(x[i] - (float) top);
        for (size_t i = n; i < sst_round_up(n); i++)
            x[i] = -INFINITY;
        sst_kernels_c.softmax(x, sst_round_up(n));
        for (size_t i = 0; i < n; i++)
        {
            double      p = exact[i] / sum;
            double      error = fabs(x[i] - p) / (p * (1 - log(p) / 4));    /* x / ln 2 is rounded */

            worst = error > worst ? error : worst;
        }
    }
    ok(worst < 3e-7, "softmax is within 3e-7 (1 - ln p / 4) p of exp in double, down to p = 1e-26");
}

static void
test_layer_norm(void)
{
    double      worst = 0;

    for (int round = 0; round < 300; round++)
    {
        size_t      n = 2 + next_random() % 800;
        float       x[802],
                    weight[802],
                    bias[802];
        double      mean = 0,
                    square = 0;
        double      exact[802];

        fill(x, n, false);
        fill(weight, n, false);
        fill(bias, n, false);
        for (size_t i = 0; i < n; i++)
            mean += x[i] / (double) n;
        for (size_t i = 0; i < n; i++)
            square += (x[i] - mean) * (x[i] - mean) / (double) n;
        for (size_t i = 0; i < n; i++)
            exact[i] = (x[i] - mean) / sqrt(square + 1e-12) * weight[i] + bias[i];
        sst_kernels_c.layer_norm(x, weight, bias, n);
        for (size_t i = 0; i < n; i++)
            worst = fabs(x[i] - exact[i]) > worst ? fabs(x[i] - exact[i]) : worst;
    }
    ok(worst < 3e-6, "layer norm is within 3e-6 of double");
}

static void
test_layer_norm_epsilon(void)
{
    float       x[2] = {1e-6f, -1e-6f},
                weight[2] = {1, 1},
                bias[2] = {0, 0};

    sst_kernels_c.layer_norm(x, weight, bias, 2);
    ok(fabsf(x[0] - 0.70710678f) < 1e-6f, "layer norm adds 1e-12 to the variance");
}

/* The largest error in ulp over every float of a grid: each exponent, and some values of it. */
static void
test_tanh(void)
{
    const float infinite = INFINITY;
    double      worst = 0;
    bool        odd = true;

    for (uint32_t bits = 0; bits < 0x7f800000; bits += 1021)
    {
        float       x,
                    got;
        double      exact;

        memcpy(&x, &bits, sizeof(x));
        got = sst_tanh(x);
        exact = tanh((double) x);
        worst = fmax(worst, fabs(got - exact) / (nextafterf((float) exact, infinite) - (float) exact));
        odd = odd && sst_tanh(-x) == -got;
    }
    ok(worst < 0.5001, "tanh is within 0.5001 ulp of libm in double");
    ok(odd && signbit(sst_tanh(-0.0f)) && sst_tanh(infinite) == 1 && sst_tanh(-infinite) == -1 && isnan(sst_tanh(NAN)),
       "tanh is odd, keeps -0 and NaN, and ends at 1 and -1");
}

/* ---- word embeddings ------------------------------------------------------------------------- */

/* What a number in half precision is, by its definition. */
static double
half_value(unsigned half)
{
    const int   exponent = half >> 10 & 31;
    const double fraction = half & 1023;

    return (half & 0x8000 ? -1 : 1) * (exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24));
}

/* Every finite number of a kind that has two bytes, in a row of 65536. */
static bool
reads_halves(sst_words words)
{
    static uint16_t row[65536];
    static float x[65536];
    const sst_model model = {.shape = {.hidden = 65536, .vocab = 1, .words = words}, .word = (const unsigned char *) row};
    bool        right = true;

    for (unsigned i = 0; i < 65536; i++)
        row[i] = (uint16_t) i;
    sst_word_read(&model, 0, x);
    for (unsigned i = 0; i < 65536; i++)
    {
        const uint32_t bits = i << 16;
        float       expected;

        memcpy(&expected, &bits, sizeof(bits));
        if (words == SST_WORDS_F16)
            expected = (float) half_value(i);
        right = right && (memcmp(&x[i], &expected, sizeof(expected)) == 0 || (words == SST_WORDS_F16 && (i >> 10 & 31) == 31));
    }
    return right;
}

static void
test_words(void)
{
    static const int8_t row[] = {0, 0, 0, (int8_t) 0xc0, 127, -127, 0, -128, 1, 99, 99, 99};    /* the scale is -2 */
    static const float expected[] = {-254, 254, -0.0f, 256, -2};
    const sst_model model = {.shape = {.hidden = 5, .vocab = 1, .words = SST_WORDS_S8}, .word = (const unsigned char *) row};
    float       x[5];

    ok(reads_halves(SST_WORDS_F16), "all finite numbers of half precision are read exactly");
    ok(reads_halves(SST_WORDS_BF16), "all numbers of BF16 are read exactly");
    sst_word_read(&model, 0, x);
    ok(memcmp(x, expected, sizeof(x)) == 0 && sst_word_bytes(&model.shape) == 12, "a row in int8 is its scale times its numbers");
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
        test_nan(kernels);
        if (isa == SST_ISA_C)
            continue;
        test_gemm(kernels);
        test_rows(kernels);
    }
    test_gelu();
    test_softmax();
    test_tanh();
    test_layer_norm();
    test_layer_norm_epsilon();
    test_words();
    printf("1..%d\n", tests);
    return failures != 0;
}
