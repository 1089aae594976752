/*
 * tokenizer_properties.c - what is true of the tokens of any text, whatever its bytes and the vocabulary.
 *
 * The whole text's ids are the reference; they are themselves compared with independent answers by golden_tokenizer.
 */
#include "fuzz.h"

#define LONG_TEXT 70000         /* more than the tokenizer's block between two ticks */

/* Ids of a text, or of its beginning, as sst_tokenize gives them. */
typedef struct tokens
{
    int32_t    *ids;            /* [count] */
    size_t      count;          /* 0: the beginning is not enough */
    bool        truncated;
} tokens;

static tokens
tokenize(const sst_vocab *vocab, const char *text, size_t len, bool partial, size_t max)
{
    char       *copy = exact_copy(text, len);
    tokens      t = {.ids = malloc(max * sizeof(int32_t))};

    t.count = sst_tokenize(vocab, copy, len, partial, t.ids, max, &t.truncated, NULL);
    MUST(t.count <= max);
    free(copy);
    return t;
}

static tokens
all_tokens(const sst_vocab *vocab, const char *text, size_t len)
{
    uint64_t    count = sst_token_count(vocab, text, len, NULL);
    tokens      all;

    MUST(count >= 2 && count - 2 <= 4 * (uint64_t) len);
    all = tokenize(vocab, text, len, false, (size_t) count);
    MUST(all.count == count && !all.truncated);
    MUST(all.ids[0] == vocab->cls && all.ids[count - 1] == vocab->sep);
    for (size_t i = 0; i < count; i++)
        MUST(all.ids[i] >= 0 && (uint32_t) all.ids[i] < vocab->size);
    return all;
}

/* At most max ids: the first of all of them. The same from a beginning that is long enough, whatever follows. */
static void
check_truncation(const sst_vocab *vocab, const tokens *all, const char *text, size_t len, size_t cut, size_t max)
{
    tokens      first = tokenize(vocab, text, len, false, max);
    tokens      beginning = tokenize(vocab, text, cut, true, max);

    MUST(first.count == (all->count < max ? all->count : max));
    MUST(first.truncated == (all->count > max));
    MUST(memcmp(first.ids, all->ids, (first.count - 1) * sizeof(int32_t)) == 0);
    MUST(first.ids[first.count - 1] == vocab->sep);
    if (beginning.count != 0)
    {
        MUST(beginning.count == first.count && beginning.truncated && first.truncated);
        MUST(memcmp(beginning.ids, first.ids, first.count * sizeof(int32_t)) == 0);
    }
    free(first.ids);
    free(beginning.ids);
}

/* What a space separates does not know of each other. */
static void
check_separation(const sst_vocab *vocab, const char *text, size_t len, size_t cut)
{
    char       *joined = malloc(len + 1);
    tokens      both,
                before = all_tokens(vocab, text, cut),
                after = all_tokens(vocab, text + cut, len - cut);

    memcpy(joined, text, cut);
    joined[cut] = ' ';
    memcpy(joined + cut + 1, text + cut, len - cut);
    both = all_tokens(vocab, joined, len + 1);
    MUST(both.count == before.count + after.count - 2);
    MUST(memcmp(both.ids, before.ids, (before.count - 1) * sizeof(int32_t)) == 0);
    MUST(memcmp(both.ids + before.count - 1, after.ids + 1, (after.count - 1) * sizeof(int32_t)) == 0);
    free(joined);
    free(both.ids);
    free(before.ids);
    free(after.ids);
}

/* The text again and again, a line each: its pieces again and again, wherever a block of the tokenizer ends. */
static void
check_blocks(const sst_vocab *vocab, const tokens *once, const char *text, size_t len)
{
    size_t      times = LONG_TEXT / (len + 1) + 1;
    char       *many = malloc(times * (len + 1));
    size_t      pieces = once->count - 2;
    tokens      all;

    for (size_t i = 0; i < times; i++)
    {
        memcpy(many + i * (len + 1), text, len);
        many[i * (len + 1) + len] = '\n';
    }
    all = all_tokens(vocab, many, times * (len + 1));
    MUST(all.count == 2 + times * pieces);
    for (size_t i = 0; i < times; i++)
        MUST(memcmp(all.ids + 1 + i * pieces, once->ids + 1, pieces * sizeof(int32_t)) == 0);
    free(many);
    free(all.ids);
}

void
check_text(const sst_vocab *vocab, choices chosen, const char *text, size_t len)
{
    size_t      cut = len * chosen.cut / 255;
    tokens      all = all_tokens(vocab, text, len);

    check_truncation(vocab, &all, text, len, cut, 2 + (size_t) chosen.max);
    check_separation(vocab, text, len, cut);
    if (chosen.repeats == 255)
        check_blocks(vocab, &all, text, len);
    free(all.ids);
}
