/*
 * tokenizer.c - any bytes as a text, with bert-base-uncased's vocabulary.
 *
 * Input: choices, text.
 */
#include "fuzz.h"
#include "vocab_table.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sst_vocab_table table;
    choices     chosen;

    if (!table.slots)
        MUST(sst_vocab_table_read(VOCABULARY, &table) == NULL);
    if (size < sizeof(chosen))
        return 0;
    memcpy(&chosen, data, sizeof(chosen));
    check_text(&table.vocab, chosen, (const char *) data + sizeof(chosen), size - sizeof(chosen));
    return 0;
}
