/*
 * source.c - read a Hugging Face folder, and compute from its contents which model it is.
 */
#include "source.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "core/packed.h"
#include "die.h"
#include "tokenizer_files.h"

/* ---- fingerprint ----------------------------------------------------------------------------- */

static void
sha256(EVP_MD_CTX *context, char hex[65])
{
    unsigned char digest[32];

    if (!EVP_DigestFinal_ex(context, digest, NULL))
        die("could not compute a sha256");
    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    EVP_MD_CTX_free(context);
}

static EVP_MD_CTX *
start_sha256(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    if (!context || !EVP_DigestInit_ex(context, EVP_sha256(), NULL))
        die("could not compute a sha256");
    return context;
}

/* Add a line to the text whose sha256 is the fingerprint. */
static void __attribute__((format(printf, 2, 3)))
add_line(EVP_MD_CTX *text, const char *format,...)
{
    char        line[512];
    va_list     args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    EVP_DigestUpdate(text, line, strlen(line));
    EVP_DigestUpdate(text, "\n", 1);
}

static void
add_file(EVP_MD_CTX *text, const char *name, const char *path)
{
    uint64_t    size;
    const unsigned char *bytes = map_file(path, &size);
    EVP_MD_CTX *context = start_sha256();
    char        hex[65];

    EVP_DigestUpdate(context, bytes, size);
    sha256(context, hex);
    add_line(text, "%s %s", name, hex);
}

/* The vocabulary in the form of vocab.txt, even if it comes from tokenizer.json. */
static void
add_vocabulary(EVP_MD_CTX *text, const sst_vocab *vocab)
{
    EVP_MD_CTX *context = start_sha256();
    char        hex[65];

    for (uint32_t id = 0; id < vocab->size; id++)
    {
        size_t      len;
        const char *piece = sst_piece(vocab, (int32_t) id, &len);

        EVP_DigestUpdate(context, piece, len);
        EVP_DigestUpdate(context, "\n", 1);
    }
    sha256(context, hex);
    add_line(text, "vocab.txt %s", hex);
}

/* Where texts are read otherwise than by an uncased BERT. */
static void
add_tokenizer(EVP_MD_CTX *text, const source *src)
{
    const sst_normalizer *normalizer = &src->table.vocab.normalizer;

    if (!normalizer->lowercase)
        add_line(text, "lowercase false");
    if (!normalizer->strip_accents)
        add_line(text, "strip_accents false");
    if (!normalizer->split_chinese)
        add_line(text, "handle_chinese_chars false");
    if (src->config.shape.positions != src->config.position_rows)
        add_line(text, "model_max_length %u", src->config.shape.positions);
}

/*
 * The sha256 of a text that names all that determines an answer: the sha256 of the sources, the precision, and the versions of
 * layout and arithmetic. See docs/design.md.
 */
static void
make_fingerprint(source *src)
{
    const weights *w = &src->weights;
    EVP_MD_CTX *text = start_sha256();

    add_file(text, "config.json", path_in(src->dir, "config.json"));
    if (w->index)
        add_file(text, "model.safetensors.index.json", w->index);
    for (size_t i = 0; i < w->count; i++)
        add_file(text, w->files[i].name, w->files[i].path);
    add_vocabulary(text, &src->table.vocab);
    add_tokenizer(text, src);
    add_line(text, "precision %s", sst_precision_name(src->config.shape.precision));
    add_line(text, "layout %d", SST_PACKED_LAYOUT);
    add_line(text, "arithmetic %d", SST_ARITHMETIC);
    sha256(text, src->fingerprint);
}

/* ---- tensors --------------------------------------------------------------------------------- */

void
source_tensor(source *src, const char *name, size_t rows, size_t columns, float *values)
{
    weights_read(&src->weights, name, rows, columns, values);
}

/* A module's weight, rows x columns, and its bias; columns 0: both are vectors of rows. */
static void
check_module(source *src, size_t rows, size_t columns, const char *format,...)
{
    char        module[100];
    char        name[120];
    va_list     args;

    va_start(args, format);
    vsnprintf(module, sizeof(module), format, args);
    va_end(args);
    snprintf(name, sizeof(name), "%s.weight", module);
    source_tensor(src, name, rows, columns, NULL);
    snprintf(name, sizeof(name), "%s.bias", module);
    source_tensor(src, name, rows, 0, NULL);
}

static void
check_layer(source *src, uint32_t layer)
{
    const architecture *a = src->config.architecture;
    const size_t d = src->config.shape.hidden;
    const size_t f = src->config.shape.ffn;
    const struct
    {
        const char *name;
        size_t      rows,
                    columns;
    }           modules[] = {
        {a->q, d, d}, {a->k, d, d}, {a->v, d, d}, {a->out, d, d}, {a->sa_norm, d, 0},
        {a->lin1, f, d}, {a->lin2, d, f}, {a->out_norm, d, 0},
    };

    for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++)
        check_module(src, modules[i].rows, modules[i].columns, "%s.%u.%s", a->layers, layer, modules[i].name);
}

static void
check_embeddings(source *src, const char *kind, size_t rows)
{
    char        name[100];

    snprintf(name, sizeof(name), "%s.%s_embeddings.weight", src->config.architecture->embeddings, kind);
    source_tensor(src, name, rows, src->config.shape.hidden, NULL);
}

/* Are all tensors there? We ask before we allocate what config.json claims. */
static void
check_tensors(source *src)
{
    const architecture *a = src->config.architecture;
    const sst_shape *shape = &src->config.shape;

    check_embeddings(src, "word", shape->vocab);
    check_embeddings(src, "position", src->config.position_rows);
    if (a->token_types)
        check_embeddings(src, "token_type", src->config.token_types);
    check_module(src, shape->hidden, 0, "%s.LayerNorm", a->embeddings);
    for (uint32_t i = 0; i < shape->layers; i++)
        check_layer(src, i);
    check_module(src, shape->hidden, shape->hidden, "%s", a->pre_classifier);
    check_module(src, shape->labels, shape->hidden, "classifier");
}

/* ---- reading --------------------------------------------------------------------------------- */

static void
read_tokenizer(source *src)
{
    const tokenizer_files files = {
        .vocab_txt = path_in(src->dir, "vocab.txt"),
        .tokenizer_json = path_in(src->dir, "tokenizer.json"),
        .tokenizer_config = path_in(src->dir, "tokenizer_config.json"),
        .special_tokens_map = path_in(src->dir, "special_tokens_map.json"),
        .added_tokens = path_in(src->dir, "added_tokens.json"),
    };
    const char *wrong = tokenizer_files_read(&files, src->config.tokenizer_class, &src->table, &src->config.shape.positions);

    if (wrong)
        die("%s", wrong);
    if (src->table.vocab.size != src->config.shape.vocab)
        die("\"%s\" has %u pieces, but config.json says vocab_size %u",
            json_is_absent(files.tokenizer_json) ? files.vocab_txt : files.tokenizer_json, src->table.vocab.size,
            src->config.shape.vocab);
}

/* Files by which transformers would change the weights. */
static void
refuse_adapters(const char *dir)
{
    const char *path = path_in(dir, "adapter_config.json");

    if (!json_is_absent(path))
        die("\"%s\": adapters are not known; merge them into the model and save it", path);
}

void
source_read(source *src)
{
    const char *wrong = model_config_read(path_in(src->dir, "config.json"), &src->config);

    if (wrong)
        die("%s", wrong);
    refuse_adapters(src->dir);
    read_tokenizer(src);
    weights_open(&src->weights, src->dir);
    check_tensors(src);
    make_fingerprint(src);
}

void
source_free(source *src)
{
    weights_close(&src->weights);
    sst_vocab_table_free(&src->table);
    model_config_free(&src->config);
}
