/*
 * formulas.c - gelu, softmax, layer norm and tanh against libm in double, and word embeddings against what their formats
 * define. Prints TAP.
 */
#include "core/forward.h"
#include "core/packed.h"
#include "support/floats.h"
#include "support/sanitized.h"
#include "support/tap.h"

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

/* Every 1021st float from 0 up: some of each exponent. */
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

/* The value of a half-precision number, by its definition. */
static double
half_value(unsigned half)
{
    const int   exponent = half >> 10 & 31;
    const double fraction = half & 1023;

    return (half & 0x8000 ? -1 : 1) * (exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24));
}

/* A row of all 65536 numbers of a kind that has two bytes. */
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
    test_gelu();
    test_softmax();
    test_tanh();
    test_layer_norm();
    test_layer_norm_epsilon();
    test_words();
    printf("1..%d\n", tests);
    return failures != 0;
}
