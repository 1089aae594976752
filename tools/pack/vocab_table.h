/*
 * vocab_table.h - a vocabulary as a packed file holds it, made from vocab.txt.
 *
 * For the packer and the tests; the server only reads packed files.
 */
#ifndef VOCAB_TABLE_H
#define VOCAB_TABLE_H

#include "core/vocab.h"

typedef struct sst_vocab_table
{
    sst_vocab   vocab;          /* points into the three below */
    sst_vocab_slot *slots;      /* [vocab.slot_mask + 1] */
    uint32_t   *offsets;        /* [V + 1] */
    char       *bytes;          /* [bytes_len] */
    size_t      bytes_len;
} sst_vocab_table;

/*
 * Read a vocabulary: one piece per line, whose id is the line's number from 0. Of equal lines the last one counts, as in
 * Hugging Face. The normalizer is an uncased BERT's. Returns NULL, or what is wrong, a sentence without a full stop; then there
 * is nothing to free.
 */
extern const char *sst_vocab_table_read(const char *path, sst_vocab_table *out);

/* The same from the file's bytes in memory, from malloc. The table owns them, even if this fails. */
extern const char *sst_vocab_table_make(char *lines, size_t len, sst_vocab_table *out);

/* Set another normalizer. Returns NULL, or why that cannot be. */
extern const char *sst_vocab_table_normalizer(sst_vocab_table *table, sst_normalizer normalizer);

extern void sst_vocab_table_free(sst_vocab_table *table);

#endif
