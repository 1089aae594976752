/*
 * distilsst-pack - turn a Hugging Face folder of a DistilBertForSequenceClassification into a packed file.
 *
 *   distilsst-pack DIR OUT.dsst [--precision fp32|int8] [--name NAME] [--notice TEXT]
 *
 * DIR holds config.json, model.safetensors (F32, F16 or BF16) and vocab.txt. All shapes come from config.json. OUT.dsst
 * is replaced by rename: a server that has the old file mapped keeps the old.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "core/packed.h"
#include "config.h"
#include "safetensors.h"
#include "vocab_table.h"

/* Texts of the self-test: accents, other scripts, special tokens, nothing, more than one panel of tokens. */
static const char *const selftest_texts[] = {
    "I love it!",
    "",
    "D\xc3\xa9j\xc3\xa0 vu: \xe6\x98\xa0\xe7\x94\xbb ISN'T bad [MASK] \xf0\x9f\x98\x80",
    "The plot is thin, the jokes are old, and yet I would not have missed the last ten minutes for anything.",
};

#define SELFTESTS (sizeof(selftest_texts) / sizeof(selftest_texts[0]))

typedef struct source
{
    const char *dir;
    model_config config;
    sst_vocab_table table;
    safetensors tensors;
    char        fingerprint[65];
} source;

static void __attribute__((noreturn, format(printf, 1, 2)))
die(const char *format,...)
{
    va_list     args;

    fputs("distilsst-pack: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

/* "dir/name", to be freed by nobody: the tool runs once. */
static char *
path_in(const char *dir, const char *name)
{
    size_t      size = strlen(dir) + strlen(name) + 2;
    char       *path = malloc(size);

    if (!path)
        die("out of memory");
    snprintf(path, size, "%s/%s", dir, name);
    return path;
}

static const unsigned char *
map_file(const char *path, uint64_t *size)
{
    int         fd = open(path, O_RDONLY);
    struct stat st;
    void       *bytes;

    if (fd < 0 || fstat(fd, &st) != 0)
        die("could not open \"%s\": %s", path, strerror(errno));
    if (st.st_size == 0)
        die("\"%s\" is empty", path);
    bytes = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (bytes == MAP_FAILED)
        die("could not read \"%s\": %s", path, strerror(errno));
    close(fd);
    *size = (uint64_t) st.st_size;
    return bytes;
}

/* ---- fingerprint ----------------------------------------------------------------------------- */

static void
sha256_hex(const void *bytes, size_t size, char hex[65])
{
    unsigned char digest[32];

    if (!EVP_Digest(bytes, size, digest, NULL, EVP_sha256(), NULL))
        die("could not compute a sha256");
    for (int i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

/* sha256 of a text that names the sha256 of each source file, and the precision. README.md documents it. */
static void
make_fingerprint(source *src)
{
    static const char *const files[] = {"config.json", "model.safetensors", "vocab.txt"};
    char        text[512];
    int         used = 0;

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
    {
        uint64_t    size;
        const unsigned char *bytes = map_file(path_in(src->dir, files[i]), &size);
        char        hex[65];

        sha256_hex(bytes, size, hex);
        munmap((void *) bytes, size);
        used += snprintf(text + used, sizeof(text) - used, "%s %s\n", files[i], hex);
    }
    used += snprintf(text + used, sizeof(text) - used, "precision %s\n",
                     sst_precision_name(src->config.shape.precision));
    sha256_hex(text, used, src->fingerprint);
}

/* ---- reading --------------------------------------------------------------------------------- */

static void
read_source(source *src)
{
    const char *path = path_in(src->dir, "config.json");
    const char *message = model_config_read(path, path_in(src->dir, "tokenizer_config.json"), &src->config);
    const unsigned char *bytes;
    uint64_t    size;

    if (message)
        die("\"%s\": %s", path, message);
    path = path_in(src->dir, "vocab.txt");
    message = sst_vocab_table_read(path, &src->table);
    if (message)
        die("\"%s\": %s", path, message);
    if (src->table.vocab.size != src->config.shape.vocab)
        die("\"%s\" has %u lines, but config.json says vocab_size %u", path, src->table.vocab.size,
            src->config.shape.vocab);
    path = path_in(src->dir, "model.safetensors");
    bytes = map_file(path, &size);
    if (!safetensors_open(&src->tensors, bytes, size))
        die("\"%s\": %s", path, src->tensors.message);
    make_fingerprint(src);
}

static void
read_tensor(source *src, const char *name, size_t rows, size_t columns, float *values)
{
    if (!safetensors_read(&src->tensors, name, rows, columns, values))
        die("\"%s/model.safetensors\": %s", src->dir, src->tensors.message);
}

/* ---- writing the parts of the packed file; they are const views of our own buffer ------------ */

static void
put_norm(source *src, const char *name, const sst_norm *norm, uint32_t size)
{
    char        tensor[128];

    snprintf(tensor, sizeof(tensor), "%s.weight", name);
    read_tensor(src, tensor, size, 0, (float *) norm->weight);
    snprintf(tensor, sizeof(tensor), "%s.bias", name);
    read_tensor(src, tensor, size, 0, (float *) norm->bias);
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
    read_tensor(src, tensor, out, in, weight);
    snprintf(tensor, sizeof(tensor), "%s.bias", name);
    read_tensor(src, tensor, out, 0, bias);
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
    const sst_shape *shape = &src->config.shape;
    const struct
    {
        const char *name;
        const sst_linear *linear;
        double      factor;
    }           linears[] = {
        {"attention.q_lin", &layer->q, 1.0 / sqrt((double) shape->hidden / shape->heads)},
        {"attention.k_lin", &layer->k, 1.0},
        {"attention.v_lin", &layer->v, 1.0},
        {"attention.out_lin", &layer->out, 1.0},
        {"ffn.lin1", &layer->lin1, 1.0},
        {"ffn.lin2", &layer->lin2, 1.0},
    };
    char        name[100];

    for (size_t i = 0; i < sizeof(linears) / sizeof(linears[0]); i++)
    {
        snprintf(name, sizeof(name), "distilbert.transformer.layer.%u.%s", index, linears[i].name);
        put_linear(src, name, linears[i].linear, linears[i].factor);
    }
    snprintf(name, sizeof(name), "distilbert.transformer.layer.%u.sa_layer_norm", index);
    put_norm(src, name, &layer->sa_norm, shape->hidden);
    snprintf(name, sizeof(name), "distilbert.transformer.layer.%u.output_layer_norm", index);
    put_norm(src, name, &layer->out_norm, shape->hidden);
}

static void
put_weights(source *src, const sst_model *model)
{
    const sst_shape *shape = &model->shape;
    uint64_t   *hashes = (uint64_t *) model->word_hashes;

    read_tensor(src, "distilbert.embeddings.word_embeddings.weight", shape->vocab, shape->hidden,
                (float *) model->word);
    for (size_t id = 0; id < shape->vocab; id++)
        hashes[id] = sst_hash64(model->word + id * shape->hidden, shape->hidden * sizeof(float));
    read_tensor(src, "distilbert.embeddings.position_embeddings.weight", shape->positions, shape->hidden,
                (float *) model->position);
    put_norm(src, "distilbert.embeddings.LayerNorm", &model->embedding_norm, shape->hidden);
    for (uint32_t i = 0; i < shape->layers; i++)
        put_layer(src, i, &model->layer[i]);
    put_linear(src, "pre_classifier", &model->pre_classifier, 1.0);
    put_linear(src, "classifier", &model->classifier, 1.0);
}

/* Strings with their offsets [count + 1]; NULL bytes: only count their bytes. */
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
fill_header(const source *src, const char *name, const char *notice, sst_packed_header *header)
{
    const sst_vocab *vocab = &src->table.vocab;

    memcpy(header->magic, SST_PACKED_MAGIC, sizeof(header->magic));
    header->layout = SST_PACKED_LAYOUT;
    header->byte_order = SST_PACKED_BYTE_ORDER;
    header->shape = src->config.shape;
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
    if (strlen(name) >= sizeof(header->name))
        die("the model's name is longer than %zu bytes", sizeof(header->name) - 1);
    if (strlen(notice) >= sizeof(header->notice))
        die("the notice is longer than %zu bytes", sizeof(header->notice) - 1);
    for (const char *c = notice; *c; c++)   /* it is shown as it is, in databases of any encoding */
        if ((unsigned char) *c >= 0x80)
            die("the notice is not in ASCII");
    strcpy(header->name, name);
    strcpy(header->notice, notice);
    strcpy(header->fingerprint, src->fingerprint);
}

/* The whole packed file in memory. */
static sst_packed_header *
build(source *src, const char *name, const char *notice)
{
    sst_packed_header empty = {.magic = {0}};
    sst_packed_header *header;
    sst_model   model;

    fill_header(src, name, notice, &empty);
    empty.file_size = sst_packed_view(&model, &empty);
    header = aligned_alloc(64, empty.file_size);
    if (!header)
        die("out of memory");
    memset(header, 0, empty.file_size);
    *header = empty;
    sst_packed_view(&model, header);
    put_tables(src, &model);
    put_weights(src, &model);
    put_selftests(&model);
    header->tables_hash = sst_hash64(header + 1, sst_packed_tables_end(&model) - sizeof(*header));
    header->weights_hash = sst_weights_hash(&model, NULL);
    header->header_hash = sst_hash64(header, offsetof(sst_packed_header, header_hash));
    if (sst_model_open(&model, header, header->file_size) != SST_OK || sst_model_verify(&model, NULL) != SST_OK)
        die("internal error: the packed file does not open");
    return header;
}

static void
write_file(const char *path, const void *bytes, size_t size)
{
    size_t      length = strlen(path) + 16;
    char       *temporary = malloc(length);
    int         fd;

    if (!temporary)
        die("out of memory");
    snprintf(temporary, length, "%s.XXXXXX", path);
    fd = mkstemp(temporary);
    if (fd < 0)
        die("could not create \"%s\": %s", temporary, strerror(errno));
    for (size_t at = 0; at < size;)
    {
        ssize_t     written = write(fd, (const char *) bytes + at, size - at);

        if (written < 0)
        {
            int         error = errno;

            unlink(temporary);
            die("could not write \"%s\": %s", path, strerror(error));
        }
        at += (size_t) written;
    }
    if (fchmod(fd, 0644) != 0 || fsync(fd) != 0 || close(fd) != 0 || rename(temporary, path) != 0)
    {
        int         error = errno;

        unlink(temporary);
        die("could not write \"%s\": %s", path, strerror(error));
    }
    free(temporary);
}

static void
usage(FILE *to)
{
    fputs("usage: distilsst-pack DIR OUT.dsst [--precision fp32|int8] [--name NAME] [--notice TEXT]\n"
          "\n"
          "Packs the Hugging Face folder DIR (config.json, model.safetensors, vocab.txt) of a\n"
          "DistilBertForSequenceClassification for distilsst.\n"
          "\n"
          "  --precision P      fp32 (default), or int8 for the linear layers of the transformer\n"
          "  --name NAME        what sst2_model() calls it (default: the last part of _name_or_path)\n"
          "  --notice TEXT      in ASCII; told once to a session that uses it without having asked for it\n", to);
}

static sst_precision
precision_named(const char *name)
{
    for (int precision = SST_FP32; precision <= SST_INT8; precision++)
        if (strcmp(name, sst_precision_name((sst_precision) precision)) == 0)
            return (sst_precision) precision;
    die("--precision is fp32 or int8, not \"%s\"", name);
}

int
main(int argc, char **argv)
{
    static const struct option options[] = {
        {"precision", required_argument, NULL, 'p'},
        {"name", required_argument, NULL, 'n'},
        {"notice", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    static source src;
    const char *name = NULL,
               *notice = "";
    sst_packed_header *header;
    int         option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        switch (option)
        {
            case 'p':
                src.config.shape.precision = precision_named(optarg);
                break;
            case 'n':
                name = optarg;
                break;
            case 't':
                notice = optarg;
                break;
            case 'h':
                usage(stdout);
                return 0;
            default:
                usage(stderr);
                return 2;
        }
    if (argc - optind != 2)
    {
        usage(stderr);
        return 2;
    }
    src.dir = argv[optind];
    read_source(&src);
    header = build(&src, name ? name : src.config.name, notice);
    write_file(argv[optind + 1], header, header->file_size);
    printf("%s: %s, %s, %.1f MB, fingerprint %s\n", argv[optind + 1], header->name,
           sst_precision_name(header->shape.precision), header->file_size / 1e6, header->fingerprint);
    free(header);
    safetensors_close(&src.tensors);
    sst_vocab_table_free(&src.table);
    model_config_free(&src.config);
    return 0;
}
