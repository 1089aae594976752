/*
 * synthetic.c - write a Hugging Face folder of a DistilBERT of any shape, with made weights and a made vocabulary.
 *
 *   synthetic DIR LAYERS,HIDDEN,HEADS,FFN,POSITIONS,VOCAB,LABELS [DTYPE]
 *
 * base is 6,768,12,3072,512,30522,2 and tiny 2,64,4,128,128,30522,2. Each weight is a pure function of its tensor's name, its
 * index and the shape: a splitmix64 stream that starts from the FNV-1a hash of the name. The logits in test/golden
 * belong to these weights. DTYPE is F32 (default), F16 or BF16; the last two round toward zero.
 */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "splitmix64.h"

typedef struct shape
{
    unsigned    layers,
                hidden,
                heads,
                ffn,
                positions,
                vocab,
                labels;
} shape;

typedef struct tensor
{
    char        name[100];
    size_t      rows,
                columns;        /* 0: a vector */
} tensor;

static tensor tensors[2000];
static size_t tensor_count;

static void
add(size_t rows, size_t columns, const char *format,...)
{
    tensor     *t = &tensors[tensor_count++];
    va_list     args;

    va_start(args, format);
    vsnprintf(t->name, sizeof(t->name), format, args);
    va_end(args);
    t->rows = rows;
    t->columns = columns;
}

static void
list_tensors(const shape *s)
{
    static const char *const attention[] = {"q_lin", "k_lin", "v_lin", "out_lin"};

    add(s->vocab, s->hidden, "distilbert.embeddings.word_embeddings.weight");
    add(s->positions, s->hidden, "distilbert.embeddings.position_embeddings.weight");
    add(s->hidden, 0, "distilbert.embeddings.LayerNorm.weight");
    add(s->hidden, 0, "distilbert.embeddings.LayerNorm.bias");
    for (unsigned i = 0; i < s->layers; i++)
    {
        for (int j = 0; j < 4; j++)
        {
            add(s->hidden, s->hidden, "distilbert.transformer.layer.%u.attention.%s.weight", i, attention[j]);
            add(s->hidden, 0, "distilbert.transformer.layer.%u.attention.%s.bias", i, attention[j]);
        }
        add(s->hidden, 0, "distilbert.transformer.layer.%u.sa_layer_norm.weight", i);
        add(s->hidden, 0, "distilbert.transformer.layer.%u.sa_layer_norm.bias", i);
        add(s->ffn, s->hidden, "distilbert.transformer.layer.%u.ffn.lin1.weight", i);
        add(s->ffn, 0, "distilbert.transformer.layer.%u.ffn.lin1.bias", i);
        add(s->hidden, s->ffn, "distilbert.transformer.layer.%u.ffn.lin2.weight", i);
        add(s->hidden, 0, "distilbert.transformer.layer.%u.ffn.lin2.bias", i);
        add(s->hidden, 0, "distilbert.transformer.layer.%u.output_layer_norm.weight", i);
        add(s->hidden, 0, "distilbert.transformer.layer.%u.output_layer_norm.bias", i);
    }
    add(s->hidden, s->hidden, "pre_classifier.weight");
    add(s->hidden, 0, "pre_classifier.bias");
    add(s->labels, s->hidden, "classifier.weight");
    add(s->labels, 0, "classifier.bias");
}

static size_t
elements(const tensor *t)
{
    return t->rows * (t->columns ? t->columns : 1);
}

static int
ends_with(const char *name, const char *end)
{
    size_t      n = strlen(name),
                m = strlen(end);

    return n >= m && strcmp(name + n - m, end) == 0;
}

static int
is_norm(const char *name)
{
    return strstr(name, "ayer_norm") || strstr(name, "LayerNorm");
}

static float
scale_of(const tensor *t)
{
    double      gain = 1.5;

    if (strstr(t->name, "_embeddings.weight"))
        return 0.05f;
    if (is_norm(t->name))
        return ends_with(t->name, ".weight") ? 0.1f : 0.05f;
    if (ends_with(t->name, ".bias"))
        return 0.02f;
    if (strstr(t->name, ".q_lin.") || strstr(t->name, ".k_lin.") || strstr(t->name, ".out_lin.") ||
        strncmp(t->name, "pre_classifier.", 15) == 0)
        gain = 3.0;
    else if (strncmp(t->name, "classifier.", 11) == 0)
        gain = 4.0;
    return (float) (gain / sqrt((double) t->columns));
}

/* All steps are exact in double before the one rounding to float. */
static void
fill(const tensor *t, float *values)
{
    uint64_t    key = UINT64_C(0xCBF29CE484222325);
    int         norm_weight = is_norm(t->name) && ends_with(t->name, ".weight");
    double      scale = scale_of(t);
    uint64_t    state;

    for (const char *p = t->name; *p; p++)
        key = (key ^ (unsigned char) *p) * UINT64_C(0x100000001B3);
    state = key;
    for (size_t i = 0; i < elements(t); i++)
    {
        double      value = scale * ((double) (splitmix64(&state) >> 40) / 8388608.0 - 1.0);

        if (norm_weight)
            value = (1.0 + value) * (i % 97 == key % 97 ? 4.0 : 1.0);
        values[i] = (float) value;
    }
}

/* The bits of a normal float of moderate size in half precision, rounded toward zero. */
static uint16_t
half_bits(uint32_t bits)
{
    int         exponent = (int) (bits >> 23 & 0xff) - 112;
    uint32_t    fraction = bits & 0x7fffff;
    uint16_t    sign = (uint16_t) (bits >> 16 & 0x8000);

    if (exponent > 0)
        return (uint16_t) (sign | exponent << 10 | fraction >> 13);
    return exponent < -9 ? sign : (uint16_t) (sign | (fraction | 0x800000) >> (14 - exponent));
}

static void
write_values(FILE *file, const float *values, size_t count, const char *dtype)
{
    for (size_t i = 0; i < count; i++)
    {
        uint32_t    bits;
        uint16_t    half;

        memcpy(&bits, &values[i], sizeof(bits));
        half = dtype[0] == 'B' ? (uint16_t) (bits >> 16) : half_bits(bits);
        if (strcmp(dtype, "F32") == 0)
            fwrite(&bits, sizeof(bits), 1, file);
        else
            fwrite(&half, sizeof(half), 1, file);
    }
}

static FILE *
create(const char *dir, const char *name)
{
    char        path[4096];
    FILE       *file;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    file = fopen(path, "wb");
    if (!file)
    {
        perror(path);
        exit(1);
    }
    return file;
}

static void
write_weights(const char *dir, const char *dtype)
{
    FILE       *file = create(dir, "model.safetensors");
    size_t      size = strcmp(dtype, "F32") == 0 ? 4 : 2;
    char       *header = malloc(tensor_count * 250 + 100);
    uint64_t    length;
    size_t      used = (size_t) sprintf(header, "{\"__metadata__\":{\"format\":\"pt\"}");
    size_t      at = 0;

    for (size_t i = 0; i < tensor_count; i++)
    {
        const tensor *t = &tensors[i];

        used += (size_t) sprintf(header + used, t->columns ? ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%zu,%zu]" :
                                 ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%zu]", t->name, dtype, t->rows, t->columns);
        used += (size_t) sprintf(header + used, ",\"data_offsets\":[%zu,%zu]}", at, at + elements(t) * size);
        at += elements(t) * size;
    }
    used += (size_t) sprintf(header + used, "}");
    while (used % 8)
        header[used++] = ' ';
    length = used;
    fwrite(&length, sizeof(length), 1, file);
    fwrite(header, used, 1, file);
    for (size_t i = 0; i < tensor_count; i++)
    {
        float      *values = malloc(elements(&tensors[i]) * sizeof(float));

        fill(&tensors[i], values);
        write_values(file, values, elements(&tensors[i]), dtype);
        free(values);
    }
    free(header);
    if (fclose(file) != 0)
        perror("model.safetensors"), exit(1);
}

/* [PAD] 0, [UNK] 1, [CLS] 2, [SEP] 3, [MASK] 4, printable ASCII alone and continued, then fillers. */
static void
write_vocab(const char *dir, unsigned count)
{
    static const char *const special[] = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
    FILE       *file = create(dir, "vocab.txt");
    unsigned    id = 0;

    for (; id < 5 && id < count; id++)
        fprintf(file, "%s\n", special[id]);
    for (int c = '!'; c <= '~'; c++)
    {
        if (id < count)
            id++, fprintf(file, "%c\n", c);
        if (id < count)
            id++, fprintf(file, "##%c\n", c);
    }
    for (; id < count; id++)
        fprintf(file, "filler%u\n", id);
    fclose(file);
}

static void
write_config(const char *dir, const shape *s)
{
    FILE       *file = create(dir, "config.json");

    fprintf(file, "{\"activation\": \"gelu\", \"architectures\": [\"DistilBertForSequenceClassification\"],\n"
            "\"dim\": %u, \"hidden_dim\": %u, \"max_position_embeddings\": %u, \"model_type\": \"distilbert\",\n"
            "\"n_heads\": %u, \"n_layers\": %u, \"vocab_size\": %u, \"_name_or_path\": \"synthetic\",\n\"id2label\": {",
            s->hidden, s->ffn, s->positions, s->heads, s->layers, s->vocab);
    for (unsigned i = 0; i < s->labels; i++)
        if (s->labels == 2)
            fprintf(file, "%s\"%u\": \"%s\"", i ? ", " : "", i, i ? "POSITIVE" : "NEGATIVE");
        else
            fprintf(file, "%s\"%u\": \"LABEL %u\"", i ? ", " : "", i, i);
    fprintf(file, "}}\n");
    fclose(file);
}

int
main(int argc, char **argv)
{
    const char *dtype = argc > 3 ? argv[3] : "F32";
    shape       s;

    if (argc < 3 || sscanf(argv[2], "%u,%u,%u,%u,%u,%u,%u", &s.layers, &s.hidden, &s.heads, &s.ffn, &s.positions,
                           &s.vocab, &s.labels) != 7 || s.layers > 64)
    {
        fputs("usage: synthetic DIR LAYERS,HIDDEN,HEADS,FFN,POSITIONS,VOCAB,LABELS [F32|F16|BF16]\n", stderr);
        return 2;
    }
    if (mkdir(argv[1], 0777) != 0 && errno != EEXIST)
    {
        perror(argv[1]);
        return 1;
    }
    list_tensors(&s);
    write_weights(argv[1], dtype);
    write_vocab(argv[1], s.vocab);
    write_config(argv[1], &s);
    return 0;
}
