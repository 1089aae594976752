/*
 * hostile.c - a packed model whose weights are well-formed and absurd: huge, denormal, infinite, NaN. All kernels must
 * agree, on finite logits or on SST_NOT_FINITE. Prints TAP.
 *
 *   hostile MODEL.dsst
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/packed.h"
#include "map_model.h"
#include "support/all_kernels.h"
#include "support/random.h"
#include "support/tap.h"

#define TOKENS 23
#define ROUNDS 100

/* Floats of the copy that we may replace. The sums of int8 columns and the checksums of word embeddings stay true. */
typedef struct span
{
    float      *at;
    size_t      count;
} span;

static span spans[64 + 64 * SST_MAX_LAYERS];
static size_t span_count;

static void
add_span(const void *at, size_t count)
{
    spans[span_count++] = (span) {(float *) at, count};
}

static void
add_linear(const sst_linear *linear)
{
    size_t      panels = (linear->out + SST_LANES - 1) / SST_LANES;
    size_t      bytes = sst_panel_bytes(linear->precision, linear->in);

    if (linear->precision == SST_FP32)
        add_span(linear->panels, panels * bytes / sizeof(float));
    else                        /* the biases and scales of one panel */
        add_span((const char *) linear->panels + next_random() % panels * bytes, 2 * SST_LANES);
}

static void
add_layer(const sst_layer *layer, size_t hidden)
{
    const sst_linear *const linears[] = {&layer->q, &layer->k, &layer->v, &layer->out, &layer->lin1, &layer->lin2};

    for (size_t i = 0; i < sizeof(linears) / sizeof(linears[0]); i++)
        add_linear(linears[i]);
    add_span(layer->sa_norm.weight, hidden);
    add_span(layer->sa_norm.bias, hidden);
    add_span(layer->out_norm.weight, hidden);
    add_span(layer->out_norm.bias, hidden);
}

/* A row, or its scale. */
static void
add_word(const sst_model *m)
{
    const uint32_t id = (uint32_t) (next_random() % m->shape.vocab);

    add_span(m->word + id * sst_word_bytes(&m->shape), m->shape.words == SST_WORDS_S8 ? 1 : m->shape.hidden);
}

static void
list_spans(const sst_model *m)
{
    span_count = 0;
    for (int i = 0; i < 10; i++)
        add_word(m);
    add_span(m->position, (size_t) m->shape.positions * m->shape.hidden);
    add_span(m->embedding_norm.weight, m->shape.hidden);
    add_span(m->embedding_norm.bias, m->shape.hidden);
    for (uint32_t i = 0; i < m->shape.layers; i++)
        add_layer(&m->layer[i], m->shape.hidden);
    add_linear(&m->pre_classifier);
    add_linear(&m->classifier);
}

/* Sets one or many floats of one or two parts to value or -value. */
static void
spoil(const sst_model *model, float value)
{
    for (size_t parts = 1 + next_random() % 2; parts > 0; parts--)
    {
        const span *s = &spans[next_random() % span_count];
        size_t      from = next_random() % s->count;
        size_t      count = next_random() % 3 ? 1 : s->count - from;

        for (size_t i = from; i < from + count; i++)
            s->at[i] = next_random() % 2 ? value : -value;
    }
    for (uint32_t id = 0; id < model->shape.vocab; id++)
        ((uint64_t *) model->word_hashes)[id] = sst_word_hash(model, id);
}

/* Do all kernels give the same? *status is their status. */
static bool
agree(const sst_model *model, void *workspace, sst_status *status)
{
    static const size_t start[] = {0, 1, TOKENS};
    int32_t     ids[TOKENS];
    float       logits[2 * SST_MAX_LABELS];
    bool        same;

    for (size_t i = 0; i < TOKENS; i++)
        ids[i] = (int32_t) (next_random() % model->shape.vocab);
    same = all_kernels_agree(model, ids, start, 2, logits, workspace, status);
    for (size_t i = 0; i < 2 * model->shape.labels && *status == SST_OK; i++)
        same = same && isfinite(logits[i]);
    return same && (*status == SST_OK || *status == SST_NOT_FINITE);
}

int
main(int argc, char **argv)
{
    static const struct
    {
        const char *name;
        float       value;
    }           kinds[] = {
        {"huge", FLT_MAX}, {"large", 1e30f}, {"denormal", 1e-42f}, {"tiny", FLT_MIN}, {"zero", 0}, {"infinite", INFINITY},
        {"NaN", NAN}, {"other NaN", __builtin_nanf("0x12345")}
    };
    const size_t count = sizeof(kinds) / sizeof(kinds[0]);
    sst_model   model;
    unsigned char *copy;
    const unsigned char *file;
    void       *workspace;
    char        name[100];

    if (argc != 2)
    {
        fputs("usage: hostile MODEL.dsst\n", stderr);
        return 2;
    }
    map_model(argv[1], &model);
    file = model.file;
    copy = aligned_alloc(64, model.file_size);
    memcpy(copy, file, model.file_size);
    sst_model_open(&model, copy, model.file_size, NULL);
    workspace = aligned_alloc(64, sst_workspace_size(&model));
    for (size_t kind = 0; kind < count; kind++)
    {
        size_t      finite = 0,
                    refused = 0;

        for (size_t round = 0; round < ROUNDS; round++)
        {
            sst_status  status;

            list_spans(&model);
            spoil(&model, kinds[kind].value);
            if (!agree(&model, workspace, &status))
                break;
            *(status == SST_OK ? &finite : &refused) += 1;
            memcpy(copy, file, model.file_size);
        }
        snprintf(name, sizeof(name), "%s weights: %zu models with finite logits, %zu refused, of %d", kinds[kind].name, finite,
                 refused, ROUNDS);
        ok(finite + refused == ROUNDS, name);
    }
    printf("1..%d\n", tests);
    free(workspace);
    free(copy);
    return failures != 0;
}
