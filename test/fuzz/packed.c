/*
 * packed.c - any bytes as a packed file.
 *
 * Input: one byte that says which checksums are made right, then the file. With all of them right, the file's
 * tables and weights are as hostile as they can be; what sst_model_open then takes must be usable without leaving the file,
 * and all kernels must agree on the logits or on what is wrong.
 */
#include "../support/all_kernels.h"
#include "fuzz.h"
#include "core/packed.h"

#define MAX_WORK (UINT64_C(1) << 22)    /* multiplications of one forward pass */
#define TOKENS 20

enum
{
    RIGHT_HEADER = 1, RIGHT_TABLES = 2, RIGHT_WORDS = 4, RIGHT_WEIGHTS = 8
};

static void
seal_header(sst_packed_header *header)
{
    header->header_hash = sst_hash64(header, offsetof(sst_packed_header, header_hash));
}

/* Make the checksums right as far as the header allows. A header is sane where no more than the tables' is wrong. */
static void
repair(unsigned char *file, uint64_t size, uint8_t what)
{
    sst_packed_header *header = (sst_packed_header *) file;
    sst_model   model;

    if (size < sizeof(*header) || !(what & RIGHT_HEADER))
        return;
    memcpy(header->magic, SST_PACKED_MAGIC, sizeof(header->magic));
    header->file_size = size;
    header->tables_hash ^= 1;
    seal_header(header);
    if (sst_model_open(&model, file, size, NULL) != SST_DAMAGED)
        return;
    header->tables_hash ^= 1;
    sst_packed_view(&model, header, header);
    for (uint32_t id = 0; id < model.shape.vocab && (what & RIGHT_WORDS); id++)
        ((uint64_t *) model.word_hashes)[id] = sst_word_hash(&model, id);
    if (what & RIGHT_TABLES)
        header->tables_hash = sst_hash64(header + 1, (size_t) sst_packed_tables_end(&model) - sizeof(*header));
    if (what & RIGHT_WEIGHTS)
        header->weights_hash = sst_weights_hash(&model, NULL);
    seal_header(header);
}

/* Everything that is read of the tables. */
static void
check_tables(const sst_model *model)
{
    size_t      sum = strlen(model->name) + strlen(model->fingerprint);

    for (uint32_t i = 0; i < model->shape.labels; i++)
        sum += strlen(sst_model_label(model, i));
    for (uint32_t i = 0; i < model->selftests; i++)
    {
        sst_selftest test = sst_model_selftest(model, i);

        for (uint32_t label = 0; label < model->shape.labels; label++)
            sum += test.logits[label] > 0;
        check_text(&model->vocab, (choices) {100, 5, 0}, test.text, strlen(test.text));
    }
    for (uint32_t id = 0; id < model->vocab.size; id++)
    {
        size_t      len;
        const char *piece = sst_piece(&model->vocab, (int32_t) id, &len);

        for (size_t i = 0; i < len; i++)
            sum += piece[i] == '#';
        if (len <= 200)
            check_text(&model->vocab, (choices) {128, 3, 0}, piece, len);
    }
    MUST(sum < SIZE_MAX);
}

/* One text of all positions, as far as they go, and one of a token, in a batch. */
static void
check_forward(const sst_model *model)
{
    const size_t tokens = model->shape.positions < TOKENS ? model->shape.positions : TOKENS;
    const size_t start[] = {0, tokens, tokens + 1};
    int32_t     ids[TOKENS + 1];
    void       *workspace = aligned_alloc(64, sst_workspace_size(model));
    float      *logits = malloc(2 * model->shape.labels * sizeof(float));
    sst_status  status;

    for (size_t i = 0; i <= tokens; i++)
        ids[i] = (int32_t) (i * 7 % model->shape.vocab);
    MUST(all_kernels_agree(model, ids, start, 2, logits, workspace, &status));
    MUST(status == SST_OK || status == SST_DAMAGED || status == SST_NOT_FINITE);
    free(workspace);
    free(logits);
}

/* About how many multiplications a token costs. */
static uint64_t
work(const sst_shape *s)
{
    return (uint64_t) s->layers * s->hidden * (4 * (uint64_t) s->hidden + 2 * s->ffn);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    void       *file;
    sst_model   model;

    if (size < 1)
        return 0;
    size--;
    MUST(posix_memalign(&file, 64, size ? size : 1) == 0);
    memcpy(file, data + 1, size);
    repair(file, size, data[0]);
    if (sst_model_open(&model, file, size, NULL) == SST_OK)
    {
        MUST(model.file_size == size);
        check_tables(&model);
        if (sst_model_verify(&model, NULL) == SST_OK && work(&model.shape) * TOKENS <= MAX_WORK)
            check_forward(&model);
    }
    free(file);
    return 0;
}
