/*
 * vocabulary.c - any bytes as vocab.txt, and any text with the vocabulary that comes of it.
 *
 * Input: choices, the lines, a NUL byte, a text. Five lines with the special tokens go before the lines.
 */
#include "fuzz.h"
#include "vocab_table.h"

static const char specials[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";

/* Pieces lie side by side in the bytes of the table, which have lost the ends of their lines. */
static void
check_table(const sst_vocab_table *table)
{
    const sst_vocab *vocab = &table->vocab;

    MUST(vocab->offsets[0] == 0 && vocab->offsets[vocab->size] == table->bytes_len);
    for (uint32_t id = 0; id < vocab->size; id++)
    {
        size_t      len;
        const char *piece = sst_piece(vocab, (int32_t) id, &len);

        MUST(len <= vocab->longest && piece >= table->bytes && piece + len <= table->bytes + table->bytes_len);
        MUST(memchr(piece, '\n', len) == NULL);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    choices     chosen;
    const uint8_t *end;
    size_t      len;
    char       *lines;
    sst_vocab_table table;

    if (size < sizeof(chosen))
        return 0;
    memcpy(&chosen, data, sizeof(chosen));
    data += sizeof(chosen);
    size -= sizeof(chosen);
    end = memchr(data, '\0', size);
    len = end ? (size_t) (end - data) : size;

    lines = malloc(sizeof(specials) - 1 + len);
    memcpy(lines, specials, sizeof(specials) - 1);
    memcpy(lines + sizeof(specials) - 1, data, len);
    if (sst_vocab_table_make(lines, sizeof(specials) - 1 + len, &table) == NULL)
    {
        check_table(&table);
        if (end)
            check_text(&table.vocab, chosen, (const char *) end + 1, size - len - 1);
        sst_vocab_table_free(&table);
    }

    /* as it is, NUL bytes and all: most often refused */
    if (sst_vocab_table_make(exact_copy(data, size), size, &table) == NULL)
    {
        check_table(&table);
        sst_vocab_table_free(&table);
    }
    return 0;
}
