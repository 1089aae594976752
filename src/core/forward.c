/*
 * forward.c - the forward pass of DistilBertForSequenceClassification over a ragged batch.
 *
 * After Sanh et al. 2019 and Hugging Face transformers 4.29, modeling_distilbert.py. A batch is worked off in passes of
 * at most PASS_TOKENS tokens (or one text): enough rows to use each weight from the cache many times, few enough to
 * keep the workspace small. In a pass all linear layers see one [T][D] matrix; attention walks the texts.
 * Of queries, keys and values, half of the heads' columns are there at once: that keeps a session small, too.
 *
 * Only the hidden state of a text's first token, [CLS], reaches the classifier: the last layer computes keys and
 * values for all tokens and everything else for the first tokens only. No sum is left out of any logit.
 */
#include <math.h>
#include <string.h>

#include "forward.h"
#include "packed.h"

#define PASS_TOKENS 512
#define FFN_BLOCK 48            /* rows of [F]: at most 590 KB of L2 at F = 3072 */

#define GROUPS 2                /* of heads */

/* Heads whose attention is worked out together, and so the columns of layers q, k and v that are. */
typedef struct group
{
    sst_shape   shape;          /* the model's, but of these heads alone: D is their columns */
    size_t      first;          /* column, a multiple of 16 */
    float      *q;              /* [T][columns]; becomes the attention's contexts */
} group;

typedef struct pass
{
    const sst_model *model;
    const sst_kernels *kernels;
    const sst_tick *tick;
    const size_t *start;        /* [texts + 1], offsets into the batch's ids */
    size_t      texts;
    size_t      tokens;         /* T of this pass */
    float      *x;              /* [T][D] hidden states */
    sst_row_scale *scales;      /* [T] */

    /* three places, each for what is needed at different times */
    float      *q;              /* [T][D], the groups' */
    float      *ffn;            /* [FFN_BLOCK][F] */

    float      *k, *v;          /* [T][columns] of the group at work */
    float      *y;              /* [T][D], inputs of a layer before keys and values are made or when they are done with */

    void       *scratch;        /* for sst_attention */
    void       *quantized;      /* inputs of an int8 layer: [T][D] or [FFN_BLOCK][F] */

    int         group_count;
    group       groups[GROUPS];
} pass;

/* A linear layer and where its outputs go. */
typedef struct output
{
    const sst_linear *layer;
    float      *y;
} output;

static size_t
pass_tokens(const sst_model *model)
{
    return model->shape.positions > PASS_TOKENS ? model->shape.positions : PASS_TOKENS;
}

/* Two groups of heads, as equal as panels of 16 columns allow, or one. */
static void
make_groups(pass *p)
{
    const sst_shape *shape = &p->model->shape;
    const uint32_t width = shape->hidden / shape->heads;
    uint32_t    heads = (shape->heads + 1) / 2;

    while (heads < shape->heads && heads * width % SST_LANES != 0)
        heads++;
    p->group_count = heads < shape->heads ? 2 : 1;
    for (int i = 0; i < p->group_count; i++)
    {
        group      *g = &p->groups[i];

        g->shape = *shape;
        g->shape.heads = i == 0 ? heads : shape->heads - heads;
        g->shape.hidden = g->shape.heads * width;
        g->first = i * heads * width;
    }
}

static size_t
larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Cuts the workspace, or none, into the parts of a pass; returns the bytes that they take. */
static size_t
cut_workspace(unsigned char *workspace, pass *p)
{
    const sst_shape *shape = &p->model->shape;
    const size_t tokens = pass_tokens(p->model);
    const size_t hidden = tokens * shape->hidden;
    const size_t ffn = (size_t) FFN_BLOCK * shape->ffn;
    const size_t columns = p->groups[0].shape.hidden;
    const size_t quantized = larger(tokens * sst_s8_row_bytes(shape->hidden), FFN_BLOCK * sst_s8_row_bytes(shape->ffn));
    struct
    {
        void      **part;
        size_t      bytes;
    }           parts[] = {
        {(void **) &p->x, hidden * sizeof(float)},
        {(void **) &p->q, larger(hidden, ffn) * sizeof(float)},
        {(void **) &p->k, 2 * tokens * columns * sizeof(float)},
        {&p->scratch, larger(sst_attention_scratch(&p->groups[0].shape), quantized)},
        {(void **) &p->scales, tokens * sizeof(sst_row_scale)},
    };
    size_t      used = 0;

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
    {
        *parts[i].part = workspace ? workspace + used : NULL;
        used += (parts[i].bytes + 63) / 64 * 64;
    }
    p->ffn = p->q;
    p->y = p->k;
    p->v = workspace ? p->k + tokens * columns : NULL;
    p->quantized = p->scratch;
    for (int i = 0; i < p->group_count; i++)
        p->groups[i].q = workspace ? p->q + tokens * p->groups[i].first : NULL;
    return used;
}

size_t
sst_workspace_size(const sst_model *model)
{
    pass        p = {.model = model};

    make_groups(&p);
    return cut_workspace(NULL, &p);
}

/* Several int8 layers of the same inputs, which are quantized once. */
static void
linears_s8(const pass *p, const float *x, size_t rows, const output *outputs, int count, sst_epilogue epilogue)
{
    const size_t in = outputs[0].layer->in;
    const size_t block = sst_s8_block(p->kernels, in);

    for (size_t row = 0; row < rows; row += block)
    {
        size_t      height = rows - row < block ? rows - row : block;

        sst_quantize(p->kernels, p->kernels->quantize, x + row * in, in, height, in, p->quantized, p->scales);
        for (int i = 0; i < count; i++)
        {
            size_t      out = outputs[i].layer->out;

            sst_gemm_s8(p->kernels, p->quantized, p->scales, height, outputs[i].layer->panels, in, out,
                        outputs[i].y + row * out, out, epilogue, p->tick);
        }
    }
}

/* Several layers of the same inputs x [rows][K]. */
static void
linears(const pass *p, const float *x, size_t rows, const output *outputs, int count, sst_epilogue epilogue)
{
    const size_t in = outputs[0].layer->in;

    if (outputs[0].layer->precision == SST_INT8)
    {
        linears_s8(p, x, rows, outputs, count, epilogue);
        return;
    }
    for (int i = 0; i < count; i++)
        sst_gemm(p->kernels, x, in, rows, outputs[i].layer->panels, in, outputs[i].layer->out, outputs[i].y,
                 outputs[i].layer->out, epilogue, p->tick);
}

static void
linear(const pass *p, const sst_linear *layer, const float *x, size_t rows, float *y, sst_epilogue epilogue)
{
    const output only = {layer, y};

    linears(p, x, rows, &only, 1, epilogue);
}

static void
norm_rows(const pass *p, const sst_norm *norm, float *x, size_t rows)
{
    size_t      d = p->model->shape.hidden;

    for (size_t r = 0; r < rows; r++)
    {
        p->kernels->layer_norm(x + r * d, norm->weight, norm->bias, d);
        sst_tick_call(p->tick);
    }
}

/* x = norm(word embedding + position embedding) for each token of the pass. */
static sst_status
embed(const pass *p, const int32_t *ids)
{
    const sst_model *m = p->model;
    const size_t d = m->shape.hidden;
    float      *x = p->x;

    for (size_t b = 0; b < p->texts; b++)
        for (size_t at = p->start[b]; at < p->start[b + 1]; at++, x += d)
        {
            size_t      id = (size_t) ids[at];
            const float *position = m->position + (at - p->start[b]) * d;

            if (ids[at] < 0 || id >= m->shape.vocab)
                return SST_BAD_TOKEN;
            if (!sst_word_is_intact(m, (uint32_t) id))
                return SST_DAMAGED;
            sst_word_read(m, (uint32_t) id, x);
            for (size_t i = 0; i < d; i++)
                x[i] += position[i];
            sst_tick_call(p->tick);
        }
    norm_rows(p, &m->embedding_norm, p->x, p->tokens);
    return SST_OK;
}

/* x = norm(x + FFN(x)), a block of rows at a time so that the wide hidden layer stays in the cache. */
static void
feed_forward(const pass *p, const sst_layer *layer, float *x, size_t rows)
{
    const size_t d = p->model->shape.hidden;

    for (size_t row = 0; row < rows; row += FFN_BLOCK)
    {
        size_t      count = rows - row < FFN_BLOCK ? rows - row : FFN_BLOCK;

        linear(p, &layer->lin1, x + row * d, count, p->ffn, SST_STORE);
        for (size_t r = 0; r < count; r++)
        {
            p->kernels->gelu(p->ffn + r * layer->lin1.out, layer->lin1.out);
            sst_tick_call(p->tick);
        }
        linear(p, &layer->lin2, p->ffn, count, x + row * d, SST_ADD);
    }
    norm_rows(p, &layer->out_norm, x, rows);
}

/* What follows the attention, for rows whose contexts are in the groups: residual, norm, FFN. */
static void
finish_layer(const pass *p, const sst_layer *layer, size_t rows)
{
    const size_t d = p->model->shape.hidden;

    for (const group *g = p->groups; g < p->groups + p->group_count; g++)
        for (size_t r = 0; r < rows; r++)
            memcpy(p->y + r * d + g->first, g->q + r * g->shape.hidden, g->shape.hidden * sizeof(float));
    linear(p, &layer->out, p->y, rows, p->x, SST_ADD);
    norm_rows(p, &layer->sa_norm, p->x, rows);
    feed_forward(p, layer, p->x, rows);
}

/* The part of layer q, k or v that makes the group's columns. */
static sst_linear
columns_of(const sst_linear *layer, const group *g)
{
    sst_linear  part = *layer;

    part.panels = (const char *) part.panels + g->first / SST_LANES * sst_panel_bytes(part.precision, part.in);
    part.out = g->shape.hidden;
    return part;
}

/* A group's attention of every text. Row b of q is the query of its first token, or else q has the rows of all tokens. */
static void
attend(const pass *p, const group *g, bool first_tokens_only)
{
    const size_t columns = g->shape.hidden;

    for (size_t b = 0; b < p->texts; b++)
    {
        size_t      at = p->start[b] - p->start[0];
        size_t      tokens = p->start[b + 1] - p->start[b];
        float      *q = g->q + (first_tokens_only ? b : at) * columns;

        sst_attention(p->kernels, &g->shape, q, first_tokens_only ? 1 : tokens,
                      p->k + at * columns, p->v + at * columns, tokens, p->scratch, p->tick);
    }
}

static void
full_layer(const pass *p, const sst_layer *layer)
{
    for (const group *g = p->groups; g < p->groups + p->group_count; g++)
    {
        const sst_linear q = columns_of(&layer->q, g),
                    k = columns_of(&layer->k, g),
                    v = columns_of(&layer->v, g);
        const output projections[] = {{&q, g->q}, {&k, p->k}, {&v, p->v}};

        linears(p, p->x, p->tokens, projections, 3, SST_STORE);
        attend(p, g, false);
    }
    finish_layer(p, layer, p->tokens);
}

/* Row b of to becomes the row of x of text b's first token; to may be x. */
static void
take_first_tokens(const pass *p, float *to)
{
    const size_t d = p->model->shape.hidden;

    for (size_t b = 0; b < p->texts; b++)
    {
        memmove(to + b * d, p->x + (p->start[b] - p->start[0]) * d, d * sizeof(float));
        sst_tick_call(p->tick);
    }
}

/* The last layer: x [T][D] in, x [B][D] out, one row for each text's first token. */
static void
last_layer(const pass *p, const sst_layer *layer)
{
    take_first_tokens(p, p->y);
    for (const group *g = p->groups; g < p->groups + p->group_count; g++)
    {
        const sst_linear q = columns_of(&layer->q, g);

        linear(p, &q, p->y, p->texts, g->q, SST_STORE);
    }
    for (const group *g = p->groups; g < p->groups + p->group_count; g++)
    {
        const sst_linear k = columns_of(&layer->k, g),
                    v = columns_of(&layer->v, g);
        const output projections[] = {{&k, p->k}, {&v, p->v}};

        linears(p, p->x, p->tokens, projections, 2, SST_STORE);
        attend(p, g, true);
    }
    take_first_tokens(p, p->x);
    finish_layer(p, layer, p->texts);
}

/*
 * tanh x = m / (m + 2) with m = exp(2x) - 1. m is Taylor's series at x / 16, whose terms behind the tenth are below 1e-10 of
 * it where |x| <= 10, then doubled five times: exp(2y) - 1 = m (m + 2) loses no digit near 0. Beyond 10 a float's tanh is 1.
 */
float
sst_tanh(float x)
{
    static const double coefficients[] = {1 / 3628800.0, 1 / 362880.0, 1 / 40320.0, 1 / 5040.0, 1 / 720.0, 1 / 120.0, 1 / 24.0,
        1 / 6.0, 1 / 2.0, 1.0};
    const double y = (x > 10.0f ? 10.0f : x < -10.0f ? -10.0f : x) / 16.0;
    double      m = 0;

    for (size_t i = 0; i < sizeof(coefficients) / sizeof(coefficients[0]); i++)
        m = m * y + coefficients[i];
    m *= y;
    for (int i = 0; i < 5; i++)
        m *= m + 2;
    return (float) (m / (m + 2));
}

/* Of a row of the head's first layer. NaN goes on to the logits. */
static void
activate(const pass *p, float *x)
{
    const bool  relu = p->model->shape.head == SST_RELU;

    for (size_t i = 0; i < p->model->shape.hidden; i++)
        x[i] = relu ? (x[i] < 0.0f ? 0.0f : x[i]) : sst_tanh(x[i]);
    sst_tick_call(p->tick);
}

/* x [B][D] -> logits [B][C] */
static sst_status
classify(const pass *p, float *logits)
{
    const sst_model *m = p->model;
    const size_t count = p->texts * m->shape.labels;

    linear(p, &m->pre_classifier, p->x, p->texts, p->q, SST_STORE);
    for (size_t b = 0; b < p->texts; b++)
        activate(p, p->q + b * m->shape.hidden);
    linear(p, &m->classifier, p->q, p->texts, logits, SST_STORE);
    for (size_t i = 0; i < count; i++)
        if (!isfinite(logits[i]))
            return SST_NOT_FINITE;
    return SST_OK;
}

static sst_status
run_pass(const pass *p, const int32_t *ids, float *logits)
{
    const uint32_t last = p->model->shape.layers - 1;
    sst_status  status = embed(p, ids);

    if (status != SST_OK)
        return status;
    for (uint32_t i = 0; i < last; i++)
        full_layer(p, &p->model->layer[i]);
    last_layer(p, &p->model->layer[last]);
    return classify(p, logits);
}

sst_status
sst_forward(const sst_model *model, const sst_kernels *kernels, const int32_t *ids, const size_t *start,
            size_t texts, float *logits, void *workspace, const sst_tick *tick)
{
    const size_t most = pass_tokens(model);
    pass        p = {.model = model, .kernels = kernels, .tick = tick};

    make_groups(&p);
    cut_workspace(workspace, &p);
    for (size_t b = 0; b < texts; b += p.texts)
    {
        sst_status  status;

        p.start = start + b;
        p.texts = 1;
        while (b + p.texts < texts && start[b + p.texts + 1] - start[b] <= most)
            p.texts++;
        p.tokens = start[b + p.texts] - start[b];
        status = run_pass(&p, ids, logits + b * model->shape.labels);
        if (status != SST_OK)
            return status;
    }
    return SST_OK;
}

void
sst_softmax(const float *logits, uint32_t count, float *probabilities)
{
    const size_t padded = sst_round_up(count);
    float       row[SST_MAX_LABELS];

    for (size_t i = 0; i < padded; i++)
        row[i] = i < count ? logits[i] : -INFINITY;
    sst_kernels_c.softmax(row, padded);
    memcpy(probabilities, row, count * sizeof(float));
}
