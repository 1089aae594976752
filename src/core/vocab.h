/*
 * vocab.h - the vocabulary's hash table: one look-up for those who make it, check it and read it.
 */
#ifndef SST_VOCAB_H
#define SST_VOCAB_H

#include <string.h>

#include "sst.h"

/* Slots of a table of 1 to SST_MAX_VOCAB pieces: a power of two, twice to four times as many. */
static inline uint32_t
sst_vocab_slots(uint32_t pieces)
{
    uint32_t    slots = 2;

    while (slots < 2 * pieces)
        slots *= 2;
    return slots;
}

static inline uint32_t
sst_vocab_hash_piece(const char *piece, size_t len)
{
    uint32_t    hash = SST_VOCAB_HASH;

    for (size_t i = 0; i < len; i++)
        hash = sst_vocab_hash(hash, (unsigned char) piece[i]);
    return hash;
}

/* The slot of the piece bytes[0..len), which has that hash, or else the empty one where it would belong. */
static inline uint32_t
sst_vocab_probe(const sst_vocab *vocab, uint32_t hash, const void *bytes, size_t len)
{
    uint32_t    at = hash & vocab->slot_mask;

    for (; vocab->slots[at].id_plus_1; at = (at + 1) & vocab->slot_mask)
    {
        const uint32_t *span = &vocab->offsets[vocab->slots[at].id_plus_1 - 1];

        if (vocab->slots[at].hash == hash && span[1] - span[0] == len
            && memcmp(vocab->bytes + span[0], bytes, len) == 0)
            break;
    }
    return at;
}

/*
 * Is the table, of sst_vocab_slots slots and bytes[0..size), what the pieces give? Every piece must be found, or a later one
 * that equals it; no other slot be taken; no probe be longer than SST_MAX_RUN; and longest be true.
 */
extern bool sst_vocab_is_sane(const sst_vocab *vocab, uint32_t size, const sst_tick *tick);

#endif
