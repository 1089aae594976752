/*
 * config.c - any bytes as config.json, tokenizer.json, tokenizer_config.json and special_tokens_map.json.
 *
 * Input: bytes for the first, and after a NUL byte for another one beside it.
 */
#define _GNU_SOURCE             /* memfd_create */
#include "config.h"

#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "tokenizer_files.h"

/* A file of these bytes that has a path. */
static int
memory_file(const uint8_t *bytes, size_t size, char path[32])
{
    int         fd = memfd_create("config", 0);

    MUST(fd >= 0 && write(fd, bytes, size) == (ssize_t) size);
    snprintf(path, 32, "/proc/self/fd/%d", fd);
    return fd;
}

static void
check_config(const model_config *config)
{
    const sst_shape *s = &config->shape;

    MUST(s->layers >= 1 && s->layers <= SST_MAX_LAYERS && s->vocab >= 1 && s->vocab <= SST_MAX_VOCAB);
    MUST(s->hidden >= 1 && s->hidden <= SST_MAX_HIDDEN && s->ffn >= 1 && s->ffn <= SST_MAX_HIDDEN);
    MUST(s->heads >= 1 && s->hidden % s->heads == 0 && s->positions >= 2 && s->positions <= SST_MAX_POSITIONS);
    MUST(s->labels >= 2 && s->labels <= SST_MAX_LABELS && config->name_or_path);
    for (uint32_t i = 0; i < s->labels; i++)
        MUST(config->labels[i] != NULL);
}

/* The vocabulary and how texts are read, and nothing else. */
static void
check_tokenizer(const tokenizer_files *files)
{
    sst_vocab_table table;
    uint32_t    positions = 512;

    if (tokenizer_files_read(files, NULL, &table, &positions) != NULL)
        return;
    MUST(positions >= 2 && positions <= 512 && table.vocab.size >= 5 && table.vocab.offsets[table.vocab.size] == table.bytes_len);
    MUST(table.vocab.normalizer.lowercase <= 1 && table.vocab.normalizer.strip_accents <= 1);
    sst_vocab_table_free(&table);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = memchr(data, '\0', size);
    size_t      len = end ? (size_t) (end - data) : size;
    char        path[32],
                second_path[32];
    const char *absent = "/proc/self/fd/no such file";
    int         fd = memory_file(data, len, path);
    int         second_fd = end ? memory_file(end + 1, size - len - 1, second_path) : -1;
    model_config config = {0};

    if (model_config_read(path, &config) == NULL)
        check_config(&config);
    model_config_free(&config);
    if (end)
    {
        check_tokenizer(&(tokenizer_files) {absent, path, second_path, absent, absent});
        check_tokenizer(&(tokenizer_files) {VOCABULARY, absent, path, second_path, absent});
        close(second_fd);
    }
    close(fd);
    return 0;
}
