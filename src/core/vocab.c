/*
 * vocab.c - does a vocabulary's hash table hold its pieces, all of them and nothing else?
 *
 * A table with the right checksum may still be made to lie: to hide a piece, or to make every look-up walk over millions of
 * slots.
 */
#include "vocab.h"

#define TICK_SLOTS 65536        /* 0.1 ms */
#define TICK_PIECES 32          /* at most 32 * SST_MAX_RUN comparisons: 1 ms if none is in a cache */

static bool
id_is_sane(const sst_vocab *vocab, int32_t id)
{
    return id >= 0 && (uint32_t) id < vocab->size;
}

static void
tick_every(uint32_t count, uint32_t i, const sst_tick *tick)
{
    if (i % count == 0)
        sst_tick_call(tick);
}

/* Do the offsets ascend from 0 to size, and is longest true? */
static bool
lengths_are_sane(const sst_vocab *vocab, uint32_t size, const sst_tick *tick)
{
    uint32_t    longest = 0;

    if (vocab->offsets[0] != 0 || vocab->offsets[vocab->size] != size)
        return false;
    for (uint32_t id = 0; id < vocab->size; id++)
    {
        const uint32_t *span = &vocab->offsets[id];

        if (span[0] > span[1])
            return false;
        if (span[1] - span[0] > longest)
            longest = span[1] - span[0];
        tick_every(TICK_SLOTS, id, tick);
    }
    return longest == vocab->longest && longest <= SST_MAX_PIECE;
}

/* Also counts the slots that are taken. Looks at the first ones twice, for a run across the table's end. */
static bool
runs_are_short(const sst_vocab *vocab, uint32_t *taken, const sst_tick *tick)
{
    uint32_t    run = 0;

    *taken = 0;
    for (uint32_t i = 0; i <= vocab->slot_mask + SST_MAX_RUN; i++)
    {
        uint32_t    id_plus_1 = vocab->slots[i & vocab->slot_mask].id_plus_1;

        run = id_plus_1 ? run + 1 : 0;
        if (id_plus_1 > vocab->size || run > SST_MAX_RUN)
            return false;
        *taken += i <= vocab->slot_mask && id_plus_1;
        tick_every(TICK_SLOTS, i, tick);
    }
    return true;
}

/* A piece that finds itself has a slot of its own, so as many slots must be taken as pieces find themselves. */
static bool
pieces_are_found(const sst_vocab *vocab, uint32_t taken, const sst_tick *tick)
{
    uint32_t    found = 0;

    for (uint32_t id = 0; id < vocab->size; id++)
    {
        size_t      len;
        const char *piece = sst_piece(vocab, (int32_t) id, &len);
        uint32_t    at = sst_vocab_probe(vocab, sst_vocab_hash_piece(piece, len), piece, len);

        if (vocab->slots[at].id_plus_1 <= id)   /* none, or one that is not the last of its equals */
            return false;
        found += vocab->slots[at].id_plus_1 == id + 1;
        tick_every(TICK_PIECES, id, tick);
    }
    return found == taken;
}

bool
sst_vocab_is_sane(const sst_vocab *vocab, uint32_t size, const sst_tick *tick)
{
    uint32_t    taken;

    return lengths_are_sane(vocab, size, tick) &&
        runs_are_short(vocab, &taken, tick) &&  /* now every probe ends */
        pieces_are_found(vocab, taken, tick) &&
        id_is_sane(vocab, vocab->pad) && id_is_sane(vocab, vocab->unk) && id_is_sane(vocab, vocab->cls) &&
        id_is_sane(vocab, vocab->sep) && id_is_sane(vocab, vocab->mask);
}
