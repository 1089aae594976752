/*
 * vocab_table.c - from vocab.txt to the hash table that the tokenizer probes.
 */
#include "vocab_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FILE (1u << 30)     /* offsets have 32 bits */

/* The whole file in *data, which the caller frees. */
static const char *
read_file(const char *path, char **data, size_t *len)
{
    const char *problem = NULL;
    FILE       *file = fopen(path, "rb");
    size_t      room = 1 << 20;

    *data = NULL;
    *len = 0;
    if (!file)
        return "the vocabulary cannot be opened";
    for (;;)
    {
        char       *grown = realloc(*data, room);

        if (!grown)
        {
            problem = "out of memory";
            break;
        }
        *data = grown;
        *len += fread(*data + *len, 1, room - *len, file);
        if (*len < room)
            break;
        room *= 2;
        if (room > MAX_FILE)
        {
            problem = "the vocabulary is too large";
            break;
        }
    }
    if (!problem && ferror(file))
        problem = "the vocabulary cannot be read";
    fclose(file);
    return problem;
}

/* Lines to pieces: table->bytes holds the lines, which lose their ends in place. */
static const char *
split_lines(sst_vocab_table *table)
{
    size_t      lines = 0;
    size_t      kept = 0;

    for (size_t i = 0; i < table->bytes_len; i++)
        lines += table->bytes[i] == '\n' || i + 1 == table->bytes_len;
    if (lines == 0)
        return "the vocabulary is empty";
    if (lines > SST_MAX_VOCAB)
        return "the vocabulary has too many lines";
    table->offsets = malloc((lines + 1) * sizeof(*table->offsets));
    if (!table->offsets)
        return "out of memory";

    table->vocab.size = (uint32_t) lines;
    table->offsets[0] = 0;
    for (size_t line = 0, from = 0; line < lines; line++)
    {
        const char *newline = memchr(table->bytes + from, '\n', table->bytes_len - from);
        size_t      next = newline ? (size_t) (newline - table->bytes) + 1 : table->bytes_len;
        size_t      len = next - from - (newline ? 1 : 0);

        if (len > 0 && table->bytes[from + len - 1] == '\r')
            len--;
        memmove(table->bytes + kept, table->bytes + from, len);
        kept += len;
        table->offsets[line + 1] = (uint32_t) kept;
        if (len > table->vocab.longest)
            table->vocab.longest = (uint32_t) len;
        from = next;
    }
    if (table->vocab.longest > SST_MAX_PIECE)
        return "a line of the vocabulary is longer than 402 bytes";
    table->bytes_len = kept;
    return NULL;
}

static const char *
fill_slots(sst_vocab_table *table)
{
    uint32_t    slots = sst_vocab_slots(table->vocab.size);

    table->slots = calloc(slots, sizeof(*table->slots));
    if (!table->slots)
        return "out of memory";
    table->vocab.slots = table->slots;
    table->vocab.slot_mask = slots - 1;
    table->vocab.offsets = table->offsets;
    table->vocab.bytes = table->bytes;
    table->vocab.bytes_size = (uint32_t) table->bytes_len;
    for (uint32_t id = 0; id < table->vocab.size; id++)
    {
        size_t      len;
        const char *piece = sst_piece(&table->vocab, (int32_t) id, &len);
        uint32_t    hash = sst_vocab_hash_piece(piece, len);

        table->slots[sst_vocab_probe(&table->vocab, hash, piece, len)] = (sst_vocab_slot) {hash, id + 1};
    }
    return NULL;
}

static const char *
find_specials(sst_vocab_table *table)
{
    const struct
    {
        const char *piece;
        const char *problem;
        int32_t    *id;
    }           specials[] = {
        {"[PAD]", "the vocabulary has no [PAD]", &table->vocab.pad},
        {"[UNK]", "the vocabulary has no [UNK]", &table->vocab.unk},
        {"[CLS]", "the vocabulary has no [CLS]", &table->vocab.cls},
        {"[SEP]", "the vocabulary has no [SEP]", &table->vocab.sep},
        {"[MASK]", "the vocabulary has no [MASK]", &table->vocab.mask}
    };

    for (size_t i = 0; i < sizeof(specials) / sizeof(specials[0]); i++)
    {
        size_t      len = strlen(specials[i].piece);
        uint32_t    at = sst_vocab_probe(&table->vocab, sst_vocab_hash_piece(specials[i].piece, len), specials[i].piece, len);

        *specials[i].id = (int32_t) table->slots[at].id_plus_1 - 1;
        if (*specials[i].id < 0)
            return specials[i].problem;
    }
    return NULL;
}

const char *
sst_vocab_table_make(char *lines, size_t len, sst_vocab_table *out)
{
    const char *problem = NULL;

    *out = (sst_vocab_table) {.vocab.normalizer = {1, 1, 1}, .bytes = lines, .bytes_len = len};
    if (len > 0 && memchr(lines, 0, len))
        problem = "the vocabulary contains a NUL byte";
    if (!problem)
        problem = split_lines(out);
    if (!problem)
        problem = fill_slots(out);
    if (!problem)
        problem = find_specials(out);
    if (!problem && !sst_vocab_is_sane(&out->vocab, (uint32_t) out->bytes_len, NULL))
        problem = "too many pieces of the vocabulary have the same hash";
    if (problem)
    {
        sst_vocab_table_free(out);
        return problem;
    }
    return NULL;
}

const char *
sst_vocab_table_read(const char *path, sst_vocab_table *out)
{
    char       *lines;
    size_t      len;
    const char *problem = read_file(path, &lines, &len);

    if (problem)
    {
        free(lines);
        return problem;
    }
    return sst_vocab_table_make(lines, len, out);
}

void
sst_vocab_table_free(sst_vocab_table *table)
{
    free(table->slots);
    free(table->offsets);
    free(table->bytes);
    memset(table, 0, sizeof(*table));
}
