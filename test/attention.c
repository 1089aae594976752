/*
 * attention.c - attention of every kernel table of this CPU against plain C, bit for bit, and against double. Prints TAP.
 */
#include <stdlib.h>

#include "core/forward.h"
#include "support/floats.h"
#include "support/sanitized.h"
#include "support/tap.h"

/* q, k and v [tokens][hidden] one after the other. */
typedef struct attention_case
{
    sst_shape   shape;
    size_t      tokens;
    float      *qkv;
} attention_case;

static attention_case
random_case(sst_precision precision, uint32_t heads, uint32_t width, size_t tokens)
{
    attention_case c = {.shape = {.hidden = heads * width, .heads = heads, .positions = 300, .precision = precision}};

    c.tokens = tokens;
    c.qkv = malloc(3 * tokens * c.shape.hidden * sizeof(float));
    fill(c.qkv, 3 * tokens * c.shape.hidden, false);
    for (size_t i = 0; i < tokens * c.shape.hidden; i++)
        c.qkv[i] /= sqrtf((float) width);   /* as queries are */
    return c;
}

/* The contexts by the tested code, of the first rows queries. The caller frees them. */
static float *
contexts(const attention_case *c, const sst_kernels *kernels, size_t rows)
{
    const size_t size = c->tokens * c->shape.hidden;
    float      *q = malloc(size * sizeof(float));
    const size_t bytes = (sst_attention_scratch(&c->shape) + 63) / 64 * 64;
    void       *scratch = aligned_alloc(64, bytes);

    memset(scratch, 0x5a, bytes);   /* need not be cleared */
    memcpy(q, c->qkv, size * sizeof(float));
    sst_attention(kernels, &c->shape, q, rows, c->qkv + size, c->qkv + 2 * size, c->tokens, scratch, NULL);
    free(scratch);
    return q;
}

/* One context, in double: dimension i of all D, of the query of token t. */
static double
exact_context(const attention_case *c, size_t t, size_t i)
{
    const size_t d = c->shape.hidden,
                width = d / c->shape.heads;
    const float *q = c->qkv + t * d + i / width * width,
               *k = c->qkv + c->tokens * d + i / width * width,
               *v = c->qkv + 2 * c->tokens * d + i;
    double      sum = 0,
                context = 0;

    for (size_t key = 0; key < c->tokens; key++)
    {
        double      score = 0;

        for (size_t j = 0; j < width; j++)
            score += (double) q[j] * k[key * d + j];
        sum += exp(score);
        context += exp(score) * v[key * d];
    }
    return context / sum;
}

/* Some rows against double, all against plain C bit for bit, and the first row alone. */
static bool
right_attention(const sst_kernels *kernels, const attention_case *c, double bound)
{
    const size_t d = c->shape.hidden;
    float      *expected = contexts(c, &sst_kernels_c, c->tokens),
               *got = contexts(c, kernels, c->tokens),
               *first = contexts(c, kernels, 1);
    bool        right = same(expected, got, c->tokens * d) && same(first, got, d);

    for (size_t t = 0; t < c->tokens; t += 1 + c->tokens / 5)   /* all would take qemu minutes */
        for (size_t i = 0; i < d; i++)
            right = right && fabs(got[t * d + i] - exact_context(c, t, i)) < bound;
    free(expected);
    free(got);
    free(first);
    return right;
}

/* What is not finite in a query, key or value comes out in the contexts of its row, head or dimension. */
static bool
not_finite_comes_out(const sst_kernels *kernels, attention_case *c, float strange)
{
    const size_t size = c->tokens * c->shape.hidden;
    bool        out = true;

    for (size_t part = 0; part < 3; part++)
    {
        float      *at = c->qkv + part * size + next_random() % (part == 0 ? c->shape.hidden : size);
        const float kept = *at;
        float      *got;
        bool        finite = true;

        *at = strange;
        got = contexts(c, kernels, 1);
        for (size_t i = 0; i < c->shape.hidden; i++)
            finite = finite && isfinite(got[i]);
        out = out && !finite;
        *at = kept;
        free(got);
    }
    return out;
}

static void
test_attention(const sst_kernels *kernels)
{
    static const size_t lengths[] = {1, 2, 3, 4, 5, 15, 16, 17, 33, 64, 65, 130, 300};
    static const uint32_t widths[] = {1, 2, 3, 7, 16, 19, 32, 40, 64};
    char        name[100];
    bool        right = true,
                out = true;

    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
        for (int precision = SST_FP32; precision <= SST_INT8; precision++)
        {
            uint32_t    width = widths[next_random() % (sizeof(widths) / sizeof(widths[0]))];
            attention_case c = random_case((sst_precision) precision, 1 + next_random() % 3, width, lengths[i]);

            right = right && right_attention(kernels, &c, precision == SST_INT8 ? 0.06 : 1e-5);
            if (precision == SST_INT8)
                out = out && not_finite_comes_out(kernels, &c, NAN) && not_finite_comes_out(kernels, &c, INFINITY) &&
                    not_finite_comes_out(kernels, &c, -INFINITY);
            free(c.qkv);
        }
    snprintf(name, sizeof(name), "%s: attention is that of double, equals C, and its first row that of all", kernels->name);
    ok(right, name);
    snprintf(name, sizeof(name), "%s: attention in 8 bits gives nothing finite for what is not", kernels->name);
    ok(out, name);
}

int
main(void)
{
    for (int isa = SST_ISA_C; isa < SST_ISA_BEST; isa++)
    {
        const sst_kernels *kernels = sst_kernels_get((sst_isa) isa);

        if (kernels->isa == (sst_isa) isa)  /* else not on this CPU */
            test_attention(kernels);
    }
    printf("1..%d\n", tests);
    return failures != 0;
}
