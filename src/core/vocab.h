/*
 * vocab.h - the vocabulary's hash table: one look-up for all who make, check and read it.
 */
#ifndef SST_VOCAB_H
#define SST_VOCAB_H

#include <string.h>

#include "sst.h"

/* Slots of a table of 1 to SST_MAX_VOCAB pieces: the first power of two that is at least twice as many. */
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

/*
 * The bytes of piece id, *len of them. Somebody may write into a mapped file after we have checked it, so an id or a span that
 * leaves the table counts as an empty piece.
 */
static inline const char *
sst_vocab_piece(const sst_vocab *vocab, uint32_t id, size_t *len)
{
    const volatile uint32_t *span = &vocab->offsets[id < vocab->size ? id : 0];
    const uint32_t start = span[0],
                end = span[1];
    const bool  inside = id < vocab->size && start <= end && end <= vocab->bytes_size;

    *len = inside ? end - start : 0;
    return vocab->bytes + (inside ? start : 0);
}

/*
 * The slot of the piece bytes[0..len), which has this hash; if it is not there, the empty slot where it would belong. Looks at
 * no more than SST_MAX_RUN + 1 slots, which suffices in a sane table.
 */
static inline uint32_t
sst_vocab_probe(const sst_vocab *vocab, uint32_t hash, const void *bytes, size_t len)
{
    uint32_t    at = hash & vocab->slot_mask;

    for (int i = 0; i < SST_MAX_RUN && vocab->slots[at].id_plus_1; i++, at = (at + 1) & vocab->slot_mask)
        if (vocab->slots[at].hash == hash)
        {
            size_t      its_len;
            const char *its = sst_vocab_piece(vocab, vocab->slots[at].id_plus_1 - 1, &its_len);

            if (its_len == len && memcmp(its, bytes, len) == 0)
                break;
        }
    return at;
}

/*
 * Is this table, of sst_vocab_slots slots and bytes[0..size), the one that belongs to its pieces? A probe must find every piece,
 * or a later one that equals it; no other slot may be taken; no probe may be longer than SST_MAX_RUN; and longest must be true.
 */
extern bool sst_vocab_is_sane(const sst_vocab *vocab, uint32_t size, const sst_tick *tick);

/* Is c, beyond ASCII, a mark that strip_accents removes? (tokenizer.c) */
extern bool sst_is_mark(int32_t c);

#endif
