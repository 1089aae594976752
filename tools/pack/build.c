/*
 * build.c - write the parts of a packed file, through const views of our own buffer.
 */
#include "build.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "die.h"

/* Texts of the self-test: accents, other scripts, special tokens, nothing, more than one panel of tokens. */
static const char *const selftest_texts[] = {
    "I love it!",
    "",
    "D\xc3\xa9j\xc3\xa0 vu: \xe6\x98\xa0\xe7\x94\xbb ISN'T bad [MASK] \xf0\x9f\x98\x80",
    "The plot is thin, the jokes are old, and yet I would not have missed the last ten minutes for anything.",
};

#define SELFTESTS (sizeof(selftest_texts) / sizeof(selftest_texts[0]))

static void
put_norm(source *src, const char *name, const sst_norm *norm, uint32_t size)
{
    char        tensor[128];

    snprintf(tensor, sizeof(tensor), "%s.weight", name);
    source_tensor(src, tensor, size, 0, (float *) norm->weight);
    snprintf(tensor, sizeof(tensor), "%s.bias", name);
    source_tensor(src, tensor, size, 0, (float *) norm->bias);
}

/* Column n of an fp32 panel [1+K][16]. */
static void
put_column_f32(char *panel, size_t n, const float *weight, float bias, size_t in)
{
    float      *column = (float *) panel + n;

    column[0] = bias;
    for (size_t k = 0; k < in; k++)
        column[(1 + k) * SST_LANES] = weight[k];
}

/* Column n of an int8 panel: the largest weight becomes 127 or -127. */
static void
put_column_s8(sst_s8_panel *panel, size_t n, const float *weight, float bias, size_t in)
{
    float       most = 0;

    for (size_t k = 0; k < in; k++)
        most = fabsf(weight[k]) > most ? fabsf(weight[k]) : most;
    panel->bias[n] = bias;
    panel->scale[n] = most / 127;
    for (size_t k = 0; k < in; k++)
    {
        int8_t      value = most > 0 ? (int8_t) lrint((double) weight[k] / most * 127) : 0;

        panel->weights[(k / 4 * SST_LANES + n) * 4 + k % 4] = value;
        panel->sum[n] += value;
    }
}

/* Panels of a weight [N][K] and a bias [N], both times factor. */
static void
put_linear(source *src, const char *name, const sst_linear *linear, double factor)
{
    const size_t in = linear->in,
                out = linear->out;
    float      *weight = malloc((in + 1) * out * sizeof(float));
    float      *bias = weight + in * out;
    char        tensor[128];

    if (!weight)
        die("out of memory");
    snprintf(tensor, sizeof(tensor), "%s.weight", name);
    source_tensor(src, tensor, out, in, weight);
    snprintf(tensor, sizeof(tensor), "%s.bias", name);
    source_tensor(src, tensor, out, 0, bias);
    for (size_t i = 0; i < (in + 1) * out; i++)
        weight[i] = (float) (weight[i] * factor);
    for (size_t n = 0; n < out; n++)
    {
        char       *panel = (char *) linear->panels + n / SST_LANES * sst_panel_bytes(linear->precision, in);

        if (linear->precision == SST_INT8)
            put_column_s8((sst_s8_panel *) panel, n % SST_LANES, weight + n * in, bias[n], in);
        else
            put_column_f32(panel, n % SST_LANES, weight + n * in, bias[n], in);
    }
    free(weight);
}

static void
put_layer(source *src, uint32_t index, const sst_layer *layer)
{
    const architecture *a = src->config.architecture;
    const sst_shape *shape = &src->config.shape;
    const struct
    {
        const char *name;
        const sst_linear *linear;
        double      factor;
    }           linears[] = {
        {a->q, &layer->q, 1.0 / sqrt((double) shape->hidden / shape->heads)},
        {a->k, &layer->k, 1.0},
        {a->v, &layer->v, 1.0},
        {a->out, &layer->out, 1.0},
        {a->lin1, &layer->lin1, 1.0},
        {a->lin2, &layer->lin2, 1.0},
    };
    char        name[100];

    for (size_t i = 0; i < sizeof(linears) / sizeof(linears[0]); i++)
    {
        snprintf(name, sizeof(name), "%s.%u.%s", a->layers, index, linears[i].name);
        put_linear(src, name, linears[i].linear, linears[i].factor);
    }
    snprintf(name, sizeof(name), "%s.%u.%s", a->layers, index, a->sa_norm);
    put_norm(src, name, &layer->sa_norm, shape->hidden);
    snprintf(name, sizeof(name), "%s.%u.%s", a->layers, index, a->out_norm);
    put_norm(src, name, &layer->out_norm, shape->hidden);
}

/* All rows of the embeddings of a kind, word, position or token_type, for the caller to free. */
static float *
read_embeddings(source *src, const char *kind, size_t rows)
{
    const size_t d = src->config.shape.hidden;
    float      *values = malloc(rows * d * sizeof(float));
    char        name[100];

    if (!values)
        die("out of memory");
    snprintf(name, sizeof(name), "%s.%s_embeddings.weight", src->config.architecture->embeddings, kind);
    source_tensor(src, name, rows, d, values);
    return values;
}

/* ---- word embeddings ------------------------------------------------------------------------- */

/* The half-precision number that equals x, if there is one. */
static uint16_t
half_of_float(float x)
{
    const int   exponent = fabsf(x) < 0x1p-14f ? 0 : ilogbf(x) + 15;
    const float fraction = ldexpf(fabsf(x), exponent ? 25 - exponent : 24);

    if (exponent > 30)
        return 0;
    return (uint16_t) ((signbit(x) ? 0x8000 : 0) | ((exponent << 10) + (int) fraction - (exponent ? 1 << 10 : 0)));
}

/* The largest of a row becomes 127 or -127. */
static void
put_word_s8(const float *x, size_t d, unsigned char *row)
{
    float       most = 0;
    float       scale;

    for (size_t i = 0; i < d; i++)
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    scale = most / 127;
    memcpy(row, &scale, sizeof(scale));
    for (size_t i = 0; i < d; i++)
        row[sizeof(scale) + i] = (unsigned char) (most > 0 ? lrint((double) x[i] / most * 127) : 0);
}

/* Writes x [D] as a row of this kind. */
static void
put_word(const float *x, const sst_shape *shape, unsigned char *row)
{
    const size_t d = shape->hidden;

    if (shape->words == SST_WORDS_S8)
        put_word_s8(x, d, row);
    else if (shape->words == SST_WORDS_F32)
        memcpy(row, x, d * sizeof(float));
    else
        for (size_t i = 0; i < d; i++)
        {
            uint16_t    half[2];    /* of a float: the second is BF16 */

            memcpy(half, &x[i], sizeof(half));
            if (shape->words == SST_WORDS_F16)
                half[1] = half_of_float(x[i]);
            memcpy(row + 2 * i, &half[1], sizeof(half[1]));
        }
}

/* Do words [V][D], kept like this, read back as the same bits? */
static bool
words_survive(const float *words, sst_shape shape, sst_words kind)
{
    const size_t d = shape.hidden;
    unsigned char *row;
    float      *back = malloc(d * sizeof(float));
    bool        same = true;

    shape.words = kind;
    row = calloc(sst_word_bytes(&shape), 1);
    if (!row || !back)
        die("out of memory");
    for (size_t id = 0; same && id < shape.vocab; id++)
    {
        const sst_model only = {.shape = shape, .word = row};

        put_word(words + id * d, &shape, row);
        sst_word_read(&only, 0, back);
        same = memcmp(back, words + id * d, d * sizeof(float)) == 0;
    }
    free(row);
    free(back);
    return same;
}

/* int8 in an int8 model, or else the smallest kind that loses nothing. */
static sst_words
choose_words(const float *words, const sst_shape *shape)
{
    if (shape->precision == SST_INT8)
        return SST_WORDS_S8;
    return words_survive(words, *shape, SST_WORDS_F16) ? SST_WORDS_F16 :
        words_survive(words, *shape, SST_WORDS_BF16) ? SST_WORDS_BF16 : SST_WORDS_F32;
}

static void
put_words(const float *words, const sst_model *model)
{
    const sst_shape *shape = &model->shape;

    for (uint32_t id = 0; id < shape->vocab; id++)
    {
        put_word(words + (size_t) id * shape->hidden, shape, (unsigned char *) model->word + id * sst_word_bytes(shape));
        ((uint64_t *) model->word_hashes)[id] = sst_word_hash(model, id);
    }
}

/*
 * Packs only as many positions as the model reads tokens. All tokens of a text have BERT's type 0, which we add to each
 * position.
 */
static void
put_positions(source *src, const sst_model *model)
{
    const size_t d = model->shape.hidden;
    float      *all = read_embeddings(src, "position", src->config.position_rows);
    float      *types = src->config.token_types ? read_embeddings(src, "token_type", src->config.token_types) : NULL;
    float      *to = (float *) model->position;

    for (size_t i = 0; i < model->shape.positions * d; i++)
        to[i] = types ? all[i] + types[i % d] : all[i];
    free(all);
    free(types);
}

static void
put_weights(source *src, const sst_model *model)
{
    const architecture *a = src->config.architecture;
    const sst_shape *shape = &model->shape;
    char        name[100];

    put_positions(src, model);
    snprintf(name, sizeof(name), "%s.LayerNorm", a->embeddings);
    put_norm(src, name, &model->embedding_norm, shape->hidden);
    for (uint32_t i = 0; i < shape->layers; i++)
        put_layer(src, i, &model->layer[i]);
    put_linear(src, a->pre_classifier, &model->pre_classifier, 1.0);
    put_linear(src, "classifier", &model->classifier, 1.0);
}

/* Writes strings and their offsets [count + 1]. If bytes is NULL, only counts their bytes. */
static uint32_t
put_strings(const char *const *strings, uint32_t count, uint32_t *offsets, char *bytes)
{
    uint32_t    at = 0;

    for (uint32_t i = 0; i < count; i++)
    {
        uint32_t    size = (uint32_t) strlen(strings[i]) + 1;

        if (bytes)
        {
            memcpy(bytes + at, strings[i], size);
            offsets[i] = at;
            offsets[i + 1] = at + size;
        }
        at += size;
    }
    return at;
}

static void
put_tables(source *src, const sst_model *model)
{
    const sst_vocab *from = &src->table.vocab;
    const sst_vocab *to = &model->vocab;

    put_strings((const char *const *) src->config.labels, model->shape.labels, (uint32_t *) model->label_offsets,
                (char *) model->label_bytes);
    put_strings(selftest_texts, SELFTESTS, (uint32_t *) model->selftest_offsets, (char *) model->selftest_bytes);
    memcpy((void *) to->slots, from->slots, ((size_t) from->slot_mask + 1) * sizeof(sst_vocab_slot));
    memcpy((void *) to->offsets, from->offsets, ((size_t) from->size + 1) * sizeof(uint32_t));
    memcpy((void *) to->bytes, from->bytes, from->offsets[from->size]);
}

/* The self-test's logits, by the plain C kernels. */
static void
put_selftests(const sst_model *model)
{
    void       *workspace = aligned_alloc(64, (sst_workspace_size(model) + 63) / 64 * 64);
    int32_t    *ids = malloc(model->shape.positions * sizeof(int32_t));

    if (!workspace || !ids)
        die("out of memory");
    for (uint32_t i = 0; i < SELFTESTS; i++)
    {
        sst_selftest test = sst_model_selftest(model, i);
        bool        truncated;
        size_t      start[2] = {0};
        sst_status  status;

        start[1] = sst_tokenize(&model->vocab, test.text, strlen(test.text), false, ids, model->shape.positions,
                                &truncated, NULL);
        status = sst_forward(model, sst_kernels_get(SST_ISA_C), ids, start, 1, (float *) test.logits, workspace, NULL);
        if (status != SST_OK)
            die("the model does not work: %s", sst_status_text(status));
    }
    free(workspace);
    free(ids);
}

static void
fill_header(const source *src, const char *name, sst_packed_header *header)
{
    const sst_vocab *vocab = &src->table.vocab;

    memcpy(header->magic, SST_PACKED_MAGIC, sizeof(header->magic));
    header->layout = SST_PACKED_LAYOUT;
    header->byte_order = SST_PACKED_BYTE_ORDER;
    header->shape = src->config.shape;
    header->normalizer = vocab->normalizer;
    header->pad = vocab->pad;
    header->unk = vocab->unk;
    header->cls = vocab->cls;
    header->sep = vocab->sep;
    header->mask = vocab->mask;
    header->label_bytes = put_strings((const char *const *) src->config.labels, src->config.shape.labels, NULL, NULL);
    header->vocab_slots = vocab->slot_mask + 1;
    header->vocab_bytes = vocab->offsets[vocab->size];
    header->vocab_longest = vocab->longest;
    header->selftests = SELFTESTS;
    header->selftest_bytes = put_strings(selftest_texts, SELFTESTS, NULL, NULL);
    header->arithmetic = SST_ARITHMETIC;
    strcpy(header->name, name);
    strcpy(header->fingerprint, src->fingerprint);
}

sst_packed_header *
build_packed(source *src, const char *name)
{
    sst_packed_header empty = {.magic = {0}};
    sst_packed_header *header;
    sst_model   model;
    float      *words = read_embeddings(src, "word", src->config.shape.vocab);

    fill_header(src, name, &empty);
    empty.shape.words = choose_words(words, &empty.shape);
    empty.file_size = sst_packed_view(&model, &empty, &empty);
    if (empty.file_size > SIZE_MAX)
        die("the packed file would have %llu bytes, more than this machine can address", (unsigned long long) empty.file_size);
    header = aligned_alloc(64, empty.file_size);
    if (!header)
        die("out of memory");
    memset(header, 0, empty.file_size);
    *header = empty;
    sst_packed_view(&model, header, header);
    put_tables(src, &model);
    put_words(words, &model);
    free(words);
    put_weights(src, &model);
    put_selftests(&model);
    header->tables_hash = sst_hash64(header + 1, sst_packed_tables_end(&model) - sizeof(*header));
    header->weights_hash = sst_weights_hash(&model, NULL);
    header->header_hash = sst_hash64(header, offsetof(sst_packed_header, header_hash));
    if (sst_model_open(&model, header, header->file_size, NULL) != SST_OK || sst_model_verify(&model, NULL) != SST_OK)
        die("internal error: the packed file does not open");
    return header;
}
