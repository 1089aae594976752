/*
 * packed.c - open and check a packed file. packed.h describes the layout.
 */
#include <string.h>

#include "packed.h"
#include "vocab.h"

/* Walks through a file, part by part. */
typedef struct walker
{
    const unsigned char *base;
    uint64_t    at;
} walker;

static const void *
next_part(walker *w, uint64_t bytes)
{
    const void *part = (const void *) ((uintptr_t) w->base + (uintptr_t) w->at);    /* nobody reads it if w->at is too far */

    w->at += (bytes + 63) & ~(uint64_t) 63;
    return part;
}

static sst_linear
next_linear(walker *w, sst_precision precision, uint32_t in, uint32_t out)
{
    uint64_t    panels = ((uint64_t) out + SST_LANES - 1) / SST_LANES;
    sst_linear  linear = {.precision = precision, .in = in, .out = out};

    linear.panels = next_part(w, panels * sst_panel_bytes(precision, in));
    return linear;
}

static sst_norm
next_norm(walker *w, uint32_t size)
{
    sst_norm    norm;

    norm.weight = next_part(w, (uint64_t) size * sizeof(float));
    norm.bias = next_part(w, (uint64_t) size * sizeof(float));
    return norm;
}

static void
next_layer(walker *w, const sst_shape *shape, sst_layer *layer)
{
    const sst_precision precision = (sst_precision) shape->precision;
    const uint32_t d = shape->hidden;

    layer->q = next_linear(w, precision, d, d);
    layer->k = next_linear(w, precision, d, d);
    layer->v = next_linear(w, precision, d, d);
    layer->out = next_linear(w, precision, d, d);
    layer->sa_norm = next_norm(w, d);
    layer->lin1 = next_linear(w, precision, d, shape->ffn);
    layer->lin2 = next_linear(w, precision, shape->ffn, d);
    layer->out_norm = next_norm(w, d);
}

static void
view_tables(sst_model *model, const sst_packed_header *header, walker *w)
{
    const sst_shape *shape = &model->shape;
    sst_vocab  *vocab = &model->vocab;

    model->label_offsets = next_part(w, ((uint64_t) shape->labels + 1) * sizeof(uint32_t));
    model->label_size = header->label_bytes;
    model->label_bytes = next_part(w, header->label_bytes);
    vocab->slots = next_part(w, (uint64_t) header->vocab_slots * sizeof(sst_vocab_slot));
    vocab->offsets = next_part(w, ((uint64_t) shape->vocab + 1) * sizeof(uint32_t));
    vocab->bytes = next_part(w, header->vocab_bytes);
    vocab->slot_mask = header->vocab_slots - 1;
    vocab->size = shape->vocab;
    vocab->bytes_size = header->vocab_bytes;
    vocab->longest = header->vocab_longest;
    vocab->pad = header->pad;
    vocab->unk = header->unk;
    vocab->cls = header->cls;
    vocab->sep = header->sep;
    vocab->mask = header->mask;
    vocab->normalizer = header->normalizer;
    model->selftests = header->selftests;
    model->selftest_offsets = next_part(w, ((uint64_t) header->selftests + 1) * sizeof(uint32_t));
    model->selftest_size = header->selftest_bytes;
    model->selftest_bytes = next_part(w, header->selftest_bytes);
    model->selftest_logits = next_part(w, (uint64_t) header->selftests * shape->labels * sizeof(float));
    model->word_hashes = next_part(w, (uint64_t) shape->vocab * sizeof(uint64_t));
}

uint64_t
sst_packed_view(sst_model *model, const void *file, const sst_packed_header *header)
{
    walker      w = {file, 0};
    const sst_shape *shape = &model->shape;
    uint32_t    d = header->shape.hidden;

    model->file = w.base;
    model->shape = header->shape;
    memcpy(model->name, header->name, sizeof(model->name));
    memcpy(model->fingerprint, header->fingerprint, sizeof(model->fingerprint));
    model->weights_hash = header->weights_hash;

    next_part(&w, sizeof(*header));
    view_tables(model, header, &w);
    model->word = next_part(&w, (uint64_t) shape->vocab * sst_word_bytes(shape));
    model->weights_at = w.at;
    model->position = next_part(&w, (uint64_t) shape->positions * d * sizeof(float));
    model->embedding_norm = next_norm(&w, d);
    for (uint32_t i = 0; i < shape->layers; i++)
        next_layer(&w, shape, &model->layer[i]);
    model->pre_classifier = next_linear(&w, SST_FP32, d, d);
    model->classifier = next_linear(&w, SST_FP32, d, shape->labels);
    model->file_size = w.at;
    return w.at;
}

uint64_t
sst_packed_tables_end(const sst_model *model)
{
    return (uint64_t) (model->word - model->file);
}

/* ---- checksums ------------------------------------------------------------------------------- */

#define HASH_LANES 8
#define HASH_BLOCK (1 << 20)    /* bytes: 0.1 ms in memory, some ms from disk */

/* For every word a bijection of the lane, so no single change is lost. */
static inline uint64_t
hash_step(uint64_t lane, uint64_t word)
{
    lane = (lane ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return lane << 29 | lane >> 35;
}

/* Eight lanes, since one chain of multiplications would be slower than memory. */
static void
hash_block(uint64_t lane[HASH_LANES], const unsigned char *p, size_t size)
{
    for (; size > 0; size -= HASH_LANES * sizeof(uint64_t))
        SST_UNROLL for (int i = 0; i < HASH_LANES; i++, p += sizeof(uint64_t))
        {
            uint64_t    word;

            memcpy(&word, p, sizeof(word));
            lane[i] = hash_step(lane[i], word);
        }
}

static uint64_t
hash64(const void *data, size_t size, const sst_tick *tick)
{
    const unsigned char *p = data;
    uint64_t    lane[HASH_LANES];
    uint64_t    hash = size;

    for (int i = 0; i < HASH_LANES; i++)
        lane[i] = (uint64_t) i;
    while (size >= sizeof(lane))
    {
        size_t      block = size < HASH_BLOCK ? size - size % sizeof(lane) : HASH_BLOCK;

        hash_block(lane, p, block);
        sst_tick_call(tick);
        size -= block;
        p += block;
    }
    for (; size >= sizeof(uint32_t); size -= sizeof(uint32_t), p += sizeof(uint32_t))
    {
        uint32_t    word;

        memcpy(&word, p, sizeof(word));
        lane[0] = hash_step(lane[0], word);
    }
    for (int i = 0; i < HASH_LANES; i++)
        hash = hash_step(hash, lane[i]);
    return hash ^ hash >> 32;
}

uint64_t
sst_hash64(const void *data, size_t size)
{
    return hash64(data, size, NULL);
}

uint64_t
sst_weights_hash(const sst_model *model, const sst_tick *tick)
{
    uint64_t    hash = 0;

    for (uint64_t at = model->weights_at; at < model->file_size; at += HASH_BLOCK)
    {
        uint64_t    left = model->file_size - at;

        hash = hash_step(hash, sst_hash64(model->file + at, (size_t) (left < HASH_BLOCK ? left : HASH_BLOCK)));
        sst_tick_call(tick);
    }
    return hash;
}

sst_status
sst_model_verify(const sst_model *model, const sst_tick *tick)
{
    return sst_weights_hash(model, tick) == model->weights_hash ? SST_OK : SST_DAMAGED;
}

/* ---- names ----------------------------------------------------------------------------------- */

static bool
is_alphanumeric(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool
sst_name_is_valid(const char *name, size_t len)
{
    if (len == 0 || len + 1 + SST_NAME_DIGITS >= SST_NAME_SIZE || !is_alphanumeric(name[0]))
        return false;
    for (size_t i = 1; i < len; i++)
        if (!is_alphanumeric(name[i]) && name[i] != '.' && name[i] != '_' && name[i] != '-')
            return false;
    return true;
}

/* Is text[0..size) NUL-terminated and printable ASCII, hence the same in databases of any encoding? */
static bool
text_is_sane(const char *text, size_t size)
{
    if (!memchr(text, '\0', size))
        return false;
    for (; *text; text++)
        if (*text < ' ' || *text > '~')
            return false;
    return true;
}

static bool
fingerprint_is_sane(const char *fingerprint)
{
    return strspn(fingerprint, "0123456789abcdef") == 64 && fingerprint[64] == '\0';
}

/* Is the name BASE-XXXXXXXX with the fingerprint's first digits? */
static bool
name_is_sane(const char *name, const char *fingerprint)
{
    size_t      len = strlen(name);
    size_t      base = len > SST_NAME_DIGITS ? len - SST_NAME_DIGITS - 1 : 0;

    return sst_name_is_valid(name, base) && name[base] == '-' &&
        memcmp(name + base + 1, fingerprint, SST_NAME_DIGITS) == 0;
}

static bool
names_are_sane(const sst_packed_header *h)
{
    return text_is_sane(h->name, sizeof(h->name)) && text_is_sane(h->fingerprint, sizeof(h->fingerprint)) &&
        fingerprint_is_sane(h->fingerprint) && name_is_sane(h->name, h->fingerprint);
}

/* ---- opening --------------------------------------------------------------------------------- */

static bool
shape_is_sane(const sst_shape *s)
{
    return s->layers >= 1 && s->layers <= SST_MAX_LAYERS &&
        s->hidden >= 1 && s->hidden <= SST_MAX_HIDDEN &&
        s->heads >= 1 && s->hidden % s->heads == 0 &&
        s->ffn >= 1 && s->ffn <= SST_MAX_HIDDEN &&
        s->vocab >= 1 && s->vocab <= SST_MAX_VOCAB &&
        s->positions >= 2 && s->positions <= SST_MAX_POSITIONS &&
        s->labels >= 2 && s->labels <= SST_MAX_LABELS &&
        s->precision <= SST_INT8 && s->words <= SST_WORDS_S8 && s->head <= SST_TANH;
}

static bool
normalizer_is_sane(const sst_normalizer *n)
{
    return n->lowercase <= 1 && n->strip_accents <= 1 && n->split_chinese <= 1;
}

/* Are the other sizes no larger than the shape needs? Reading the holes of a sparse file costs as much as reading data. */
static bool
tables_are_small(const sst_packed_header *h)
{
    return h->label_bytes <= SST_MAX_STRINGS &&
        h->vocab_slots == sst_vocab_slots(h->shape.vocab) &&
        h->vocab_bytes <= (uint64_t) h->shape.vocab * SST_MAX_PIECE &&
        h->selftests <= SST_MAX_SELFTESTS && h->selftest_bytes <= SST_MAX_STRINGS;
}

static bool
header_is_sane(const sst_packed_header *h)
{
    return shape_is_sane(&h->shape) && normalizer_is_sane(&h->normalizer) && tables_are_small(h) && names_are_sane(h);
}

/*
 * Do offsets [count + 1] ascend from 0 to size, and does each string in bytes end in a NUL? Reads each offset once, since
 * somebody may write to the file meanwhile.
 */
static bool
strings_are_sane(const volatile uint32_t *offsets, const char *bytes, uint32_t count, uint32_t size)
{
    uint32_t    from = offsets[0];

    if (from != 0)
        return false;
    for (uint32_t i = 0; i < count; i++)
    {
        const uint32_t to = offsets[i + 1];

        if (from >= to || to > size || bytes[to - 1] != '\0')
            return false;
        from = to;
    }
    return from == size;
}

static bool
tables_are_sane(const sst_model *model, const sst_tick *tick)
{
    return strings_are_sane(model->label_offsets, model->label_bytes, model->shape.labels, model->label_size) &&
        strings_are_sane(model->selftest_offsets, model->selftest_bytes, model->selftests, model->selftest_size) &&
        sst_vocab_is_sane(&model->vocab, model->vocab.bytes_size, tick);
}

sst_status
sst_model_open(sst_model *model, const void *data, size_t size, const sst_tick *tick)
{
    sst_packed_header header;   /* a copy: what has been checked must stay, whatever becomes of the file */
    size_t      tables_size;

    if (size < sizeof(header.magic) || memcmp(data, SST_PACKED_MAGIC, sizeof(header.magic)) != 0)
        return SST_NOT_A_MODEL;
    if (size < sizeof(header))
        return SST_WRONG_SIZE;
    memcpy(&header, data, sizeof(header));
    if (header.layout != SST_PACKED_LAYOUT || header.byte_order != SST_PACKED_BYTE_ORDER ||
        header.arithmetic != SST_ARITHMETIC)
        return SST_WRONG_LAYOUT;
    if (header.file_size != size)
        return SST_WRONG_SIZE;
    if (sst_hash64(&header, offsetof(sst_packed_header, header_hash)) != header.header_hash)
        return SST_DAMAGED;
    if (!header_is_sane(&header) || sst_packed_view(model, data, &header) != size)
        return SST_BAD_SHAPE;
    tables_size = (size_t) (sst_packed_tables_end(model) - sizeof(header));
    if (hash64((const char *) data + sizeof(header), tables_size, tick) != header.tables_hash)
        return SST_DAMAGED;
    return tables_are_sane(model, tick) ? SST_OK : SST_BAD_SHAPE;
}

/* ---- reading the tables ---------------------------------------------------------------------- */

const char *
sst_model_label(const sst_model *model, uint32_t label)
{
    return model->label_bytes + model->label_offsets[label];
}

sst_selftest
sst_model_selftest(const sst_model *model, uint32_t i)
{
    sst_selftest test;

    test.text = model->selftest_bytes + model->selftest_offsets[i];
    test.logits = model->selftest_logits + (size_t) i * model->shape.labels;
    return test;
}

const char *
sst_precision_name(sst_precision precision)
{
    return precision == SST_INT8 ? "int8" : "fp32";
}

const char *
sst_status_text(sst_status status)
{
    switch (status)
    {
        case SST_OK:
            return "no error";
        case SST_NOT_A_MODEL:
            return "it is not a packed model";
        case SST_WRONG_LAYOUT:
            return "it was packed for another version of distilsst or another byte order";
        case SST_WRONG_SIZE:
            return "its size is not what its header says; it may be truncated";
        case SST_DAMAGED:
            return "a checksum does not match; its contents have changed since it was packed";
        case SST_BAD_SHAPE:
            return "its header or its tables contradict themselves";
        case SST_BAD_TOKEN:
            return "a token id is not in the vocabulary";
        case SST_NOT_FINITE:
            return "the model's weights give logits that are not finite";
    }
    return "unknown error";
}
