/*
 * damaged.c - packed files with flipped bytes, cut ends and fields that lie: each is refused, or works safely. Prints TAP.
 *
 *   damaged MODEL.dsst
 *
 * MODEL.dsst should be small: it is copied and damaged thousands of times.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/packed.h"
#include "support/random.h"
#include "support/sanitized.h"
#include "support/tap.h"

static unsigned char *
read_file(const char *path, size_t *size)
{
    FILE       *file = fopen(path, "rb");
    unsigned char *bytes;

    if (!file)
    {
        perror(path);
        exit(2);
    }
    fseek(file, 0, SEEK_END);
    *size = (size_t) ftell(file);
    rewind(file);
    bytes = aligned_alloc(64, (*size + 63) / 64 * 64);
    if (!bytes || fread(bytes, 1, *size, file) != *size)
    {
        fprintf(stderr, "%s: cannot be read\n", path);
        exit(2);
    }
    fclose(file);
    return bytes;
}

/* Open, verify and use: the status of the first step that fails. */
static sst_status
use(const unsigned char *file, size_t size, void *workspace)
{
    static const int32_t ids[] = {0, 1, 2};
    static const size_t start[] = {0, 3};
    sst_model   model;
    sst_status  status = sst_model_open(&model, file, size, NULL);
    float       logits[SST_MAX_LABELS];

    if (status == SST_OK)
        status = sst_model_verify(&model, NULL);
    if (status == SST_OK)
        status = sst_forward(&model, sst_kernels_get(SST_ISA_BEST), ids, start, 1, logits, workspace, NULL);
    return status;
}

static void
test_flips(unsigned char *file, size_t size, size_t tables_end, size_t weights_at, void *workspace)
{
    size_t      accepted = 0;

    for (size_t at = 0; at < tables_end; at++)
    {
        unsigned char change = (unsigned char) (1 + next_random() % 255);

        file[at] ^= change;
        accepted += use(file, size, workspace) == SST_OK;
        file[at] ^= change;
    }
    printf("# %zu bytes of header and tables\n", tables_end);
    ok(accepted == 0, "a change of any byte of header or tables is refused");

    accepted = 0;
    for (size_t i = 0; i < 300; i++)
    {
        size_t      at = weights_at + next_random() % (size - weights_at);

        file[at] ^= 0x80;
        accepted += use(file, size, workspace) == SST_OK;
        file[at] ^= 0x80;
    }
    ok(accepted == 0, "every bit flipped in the weights (300 tried) is refused");
    file[tables_end] ^= 1;
    ok(use(file, size, workspace) == SST_DAMAGED, "a word embedding that is read and differs is refused");
    file[tables_end] ^= 1;
}

static void
test_cuts(const unsigned char *file, size_t size, size_t tables_end, void *workspace)
{
    size_t      accepted = 0;

    for (size_t i = 0; i < tables_end + 1000; i++)
    {
        size_t      length = i < tables_end ? i : next_random() % size;
        void       *cut;

        if (posix_memalign(&cut, 64, length ? length : 1) != 0) /* so that ASan sees what lies behind */
            exit(2);
        memcpy(cut, file, length);
        accepted += use(cut, length, workspace) == SST_OK;
        free(cut);
    }
    ok(accepted == 0, "a file cut anywhere in header or tables, or at one of 1000 lengths behind, is refused");
}

/* Tables that lie and have the right checksums are refused, or used without leaving the file. */
static void
test_lies(const unsigned char *file, size_t size, size_t tables_end, void *workspace)
{
    unsigned char *copy = aligned_alloc(64, (size + 63) / 64 * 64);
    sst_packed_header *header = (sst_packed_header *) copy;

    memcpy(copy, file, size);
    for (size_t i = 0; i < 3000; i++)
    {
        size_t      at = i % 2 ? next_random() % offsetof(sst_packed_header, tables_hash) : next_random() % tables_end;
        uint32_t    value = (uint32_t) next_random() >> next_random() % 32;
        char        kept[sizeof(value)];
        uint64_t    kept_hashes[3];

        at &= ~(size_t) 3;
        memcpy(kept, copy + at, sizeof(kept));
        memcpy(kept_hashes, &header->tables_hash, sizeof(kept_hashes));
        memcpy(copy + at, &value, sizeof(value));
        header->tables_hash = sst_hash64(header + 1, tables_end - sizeof(*header));
        header->header_hash = sst_hash64(header, offsetof(sst_packed_header, header_hash));
        if (header->shape.hidden <= 512 && header->shape.positions <= 512 && header->shape.ffn <= 2048)
            (void) use(copy, size, workspace);  /* ASan sees what leaves the copy */
        memcpy(copy + at, kept, sizeof(kept));
        memcpy(&header->tables_hash, kept_hashes, sizeof(kept_hashes));
    }
    ok(use(copy, size, workspace) == SST_OK && memcmp(copy, file, size) == 0,
       "3000 lies in header and tables with right checksums are survived, and nothing was written");
    free(copy);
}

/* Somebody who writes over size bytes of a file at a tick of who opens it. */
typedef struct writer
{
    unsigned char *bytes;
    size_t      size;
    int         when;           /* ticks before it */
    int         ticks;
} writer;

static void
write_over(void *arg)
{
    writer     *w = arg;

    if (w->ticks++ == w->when)
        memset(w->bytes, 0xff, w->size);
}

/* Opened while the first bytes are written over, at each of its ticks: how often it is refused, and is another model. */
static void
open_written(const unsigned char *file, size_t size, size_t written, size_t *refused, size_t *changed)
{
    unsigned char *copy = aligned_alloc(64, (size + 63) / 64 * 64);
    writer      w = {.bytes = copy, .size = written};
    const sst_tick tick = {write_over, &w};
    sst_model   model,
                good;

    sst_model_open(&good, file, size, NULL);
    *refused = *changed = 0;
    do
    {
        sst_status  status;

        memcpy(copy, file, size);
        w.ticks = 0;
        status = sst_model_open(&model, copy, size, &tick);
        *refused += status != SST_OK;
        *changed += status == SST_OK &&
            (memcmp(&model.shape, &good.shape, sizeof(good.shape)) != 0 || strcmp(model.name, good.name) != 0 ||
             strcmp(model.fingerprint, good.fingerprint) != 0 || model.label_size != good.label_size ||
             model.selftests != good.selftests || model.selftest_size != good.selftest_size);
    } while (w.ticks > w.when++);
    free(copy);
}

static void
test_writes(const unsigned char *file, size_t size, size_t tables_end)
{
    size_t      refused,
                changed;

    open_written(file, size, sizeof(sst_packed_header), &refused, &changed);
    ok(refused == 0 && changed == 0, "a header that is written over once it was read changes nothing");
    open_written(file, size, tables_end, &refused, &changed);
    ok(refused > 0 && changed == 0, "and tables that are written over have the file refused, or are as they were");
}

/* What sst_model_open says of a file with another byte in its header and the right checksum. */
static sst_status
open_with(unsigned char *file, size_t size, size_t at, char byte)
{
    sst_packed_header *header = (sst_packed_header *) file;
    const sst_packed_header kept = *header;
    sst_model   model;
    sst_status  status;

    file[at] = (unsigned char) byte;
    header->header_hash = sst_hash64(header, offsetof(sst_packed_header, header_hash));
    status = sst_model_open(&model, file, size, NULL);
    *header = kept;
    return status;
}

static void
test_choices(unsigned char *file, size_t size)
{
    const size_t fields[] = {offsetof(sst_packed_header, shape.head),
        offsetof(sst_packed_header, normalizer.lowercase),
        offsetof(sst_packed_header, normalizer.strip_accents), offsetof(sst_packed_header, normalizer.split_chinese)};
    bool        right = true;

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        right = right && open_with(file, size, fields[i], 0) == SST_OK && open_with(file, size, fields[i], 1) == SST_OK &&
            open_with(file, size, fields[i], 2) == SST_BAD_SHAPE && open_with(file, size, fields[i] + 3, 1) == SST_BAD_SHAPE;
    ok(right, "a head or a way to read texts that is not known is refused");
    ok(open_with(file, size, offsetof(sst_packed_header, shape.words), SST_WORDS_S8 + 1) == SST_BAD_SHAPE,
       "and word embeddings of an unknown kind");
}

/* They are text columns, in databases of any encoding. */
static void
test_names(unsigned char *file, size_t size)
{
    const size_t name = offsetof(sst_packed_header, name),
                fingerprint = offsetof(sst_packed_header, fingerprint),
                end = name + strlen((char *) file + name);
    const struct
    {
        size_t      at;
        const char *good,
                   *bad;
    }           bytes[] = {
        {name, "aZ09", "._- \xff\n"},
        {name + 1, "aZ09._-", " /\xc3\x7f\n"},
        {end - 9, "-", "_.a0"},
        {end - 1, "", "Gz-"},
        {end, "", "0f.-\xff"},
        {fingerprint + 20, "09af", "AFg -\xff"},
        {fingerprint + 64, "", "0f"},
    };
    bool        right = true;

    for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++)
    {
        for (const char *c = bytes[i].good; *c; c++)
            right = right && open_with(file, size, bytes[i].at, *c) == SST_OK;
        for (const char *c = bytes[i].bad; *c; c++)
            right = right && open_with(file, size, bytes[i].at, *c) == SST_BAD_SHAPE;
    }
    for (size_t digit = 0; digit < SST_NAME_DIGITS; digit++)
        right = right
            && open_with(file, size, fingerprint + digit, file[fingerprint + digit] == '0' ? '1' : '0') == SST_BAD_SHAPE;
    right = right && open_with(file, size, fingerprint + 63, '\0') == SST_BAD_SHAPE;
    ok(right, "a name or fingerprint of other characters, or a name that is not the fingerprint's, is refused");
    ok(open_with(file, size, offsetof(sst_packed_header, layout), SST_PACKED_LAYOUT + 1) == SST_WRONG_LAYOUT &&
       open_with(file, size, offsetof(sst_packed_header, arithmetic), SST_ARITHMETIC + 1) == SST_WRONG_LAYOUT,
       "a file of another layout or arithmetic is refused");
}

static void
test_packed(const char *path)
{
    size_t      size;
    unsigned char *file = read_file(path, &size);
    sst_model   model;
    void       *workspace;

    ok(sst_model_open(&model, file, size, NULL) == SST_OK, "the packed model opens");
    workspace = aligned_alloc(64, 64 << 20);
    ok(use(file, size, workspace) == SST_OK, "and works");
    test_flips(file, size, sst_packed_tables_end(&model), model.weights_at, workspace);
    test_cuts(file, size, sst_packed_tables_end(&model), workspace);
    test_lies(file, size, sst_packed_tables_end(&model), workspace);
    test_writes(file, size, sst_packed_tables_end(&model));
    test_choices(file, size);
    test_names(file, size);
    free(workspace);
    free(file);
}

static void
test_ids(const char *path)
{
    size_t      size;
    unsigned char *file = read_file(path, &size);
    sst_model   model;
    void       *workspace;
    int32_t     ids[1] = {-1};
    const size_t start[2] = {0, 1};
    float       logits[SST_MAX_LABELS];

    if (sst_model_open(&model, file, size, NULL) != SST_OK)
        exit(2);
    workspace = aligned_alloc(64, (sst_workspace_size(&model) + 63) / 64 * 64);
    ok(sst_forward(&model, &sst_kernels_c, ids, start, 1, logits, workspace, NULL) == SST_BAD_TOKEN,
       "token id -1 is refused");
    ids[0] = (int32_t) model.shape.vocab;
    ok(sst_forward(&model, &sst_kernels_c, ids, start, 1, logits, workspace, NULL) == SST_BAD_TOKEN,
       "the first id behind the vocabulary is refused");
    ids[0]--;
    ok(sst_forward(&model, &sst_kernels_c, ids, start, 1, logits, workspace, NULL) == SST_OK, "the last id is taken");
    free(workspace);
    free(file);
}

int
main(int argc, char **argv)
{
    if (argc != 2)
    {
        fputs("usage: damaged MODEL.dsst\n", stderr);
        return 2;
    }
    test_ids(argv[1]);
    test_packed(argv[1]);
    printf("1..%d\n", tests);
    return failures != 0;
}
