/*
 * every_way.c - a text's ids, asked of the tokenizer in every way.
 */
#include "every_way.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"

#define SHOWN 5                 /* failures shown in full, per group */
#define PREFIXES_BELOW 300      /* bytes: of a shorter text, every beginning is tried */
#define PADDING "      "        /* ends whatever a text may leave open */

const sst_vocab *vocab;
static long passed, failed;

void *
allocate(size_t size)
{
    void       *memory = malloc(size ? size : 1);

    if (!memory)
    {
        fprintf(stderr, "out of memory\n");
        exit(2);
    }
    return memory;
}

/* Tokenizes a copy of exactly the text's size, so that a sanitizer sees any read beyond it. */
tokens
tokenize(const char *text, size_t len, bool partial, size_t max)
{
    char       *copy = memcpy(allocate(len), text, len);
    tokens      t = {.ids = allocate(max * sizeof(int32_t))};

    t.n = sst_tokenize(vocab, copy, len, partial, t.ids, max, &t.truncated, NULL);
    free(copy);
    return t;
}

sst_vocab_table
read_vocabulary(const char *path)
{
    sst_vocab_table table;
    const char *problem = sst_vocab_table_read(path, &table);

    if (problem)
    {
        fprintf(stderr, "%s: %s\n", path, problem);
        exit(2);
    }
    return table;
}

/* ---- results --------------------------------------------------------------------------------- */

static bool
is_equal(tokens a, tokens b)
{
    return a.n == b.n && a.truncated == b.truncated
        && (a.n == 0 || memcmp(a.ids, b.ids, a.n * sizeof(int32_t)) == 0);
}

static void
print_ids(const char *name, const int32_t *ids, size_t n)
{
    fprintf(stderr, "  %s", name);
    for (size_t i = 0; i < n; i++)
        fprintf(stderr, " %" PRId32, ids[i]);
    fprintf(stderr, "\n");
}

static bool
fail(const char *what, const char *text, size_t len, tokens want, tokens got)
{
    if (failed >= SHOWN)
        return false;
    fprintf(stderr, "%s differ for \"", what);
    for (size_t i = 0; i < len; i++)
        fprintf(stderr, text[i] >= ' ' && text[i] <= '~' ? "%c" : "\\x%02x", (unsigned char) text[i]);
    fprintf(stderr, "\"\n");
    print_ids(want.truncated ? "want (truncated)" : "want", want.ids, want.n);
    print_ids(got.truncated ? "got  (truncated)" : "got ", got.ids, got.n);
    return false;
}

void
finish_row(bool right)
{
    if (right)
        passed++;
    else
        failed++;
}

void
report(const char *name)
{
    ok(failed == 0 && passed > 0, name);
    printf("# %ld rows right, %ld wrong\n", passed, failed);
    passed = failed = 0;
}

int
end_tests(void)
{
    printf("1..%d\n", tests);
    return failures != 0;
}

/* ---- one text, asked in every way ------------------------------------------------------------ */

bool
check_tokens(const char *what, const char *text, size_t len, bool partial, size_t max, tokens want)
{
    tokens      got = tokenize(text, len, partial, max);
    bool        ok = is_equal(want, got) || fail(what, text, len, want, got);

    free(got.ids);
    return ok;
}

/* An answer that a beginning of the text decides must be the answer for the whole. */
static bool
check_prefixes(const char *text, size_t len, size_t max, tokens want)
{
    bool        ok = true;

    for (size_t cut = 0; cut <= len && ok; cut++)
    {
        tokens      got = tokenize(text, cut, true, max);

        ok = got.n == 0 || is_equal(want, got) || fail("ids from a beginning", text, cut, want, got);
        free(got.ids);
    }
    return ok;
}

/* The same if the beginning at hand extends beyond the text: it decides if and only if the answer is truncated. */
static bool
check_continued(const char *text, size_t len, size_t max, tokens want)
{
    char       *longer = allocate(len + sizeof(PADDING));
    tokens      unknown = {NULL, 0, false};
    bool        ok;

    memcpy(longer, text, len);
    memcpy(longer + len, PADDING, sizeof(PADDING));
    ok = check_tokens("ids of a text that goes on", longer, len + strlen(PADDING), true, max,
                      want.truncated ? want : unknown);
    free(longer);
    return ok;
}

static bool
check_truncated(const char *text, size_t len, size_t max, tokens all)
{
    tokens      want = {.ids = allocate(max * sizeof(int32_t)), .n = all.n, .truncated = all.n > max};
    bool        ok;

    if (want.truncated)
        want.n = max;
    memcpy(want.ids, all.ids, want.n * sizeof(int32_t));
    want.ids[want.n - 1] = vocab->sep;

    ok = check_tokens("truncated ids", text, len, false, max, want);
    ok = ok && check_continued(text, len, max, want);
    if (ok && len < PREFIXES_BELOW)
        ok = check_prefixes(text, len, max, want);
    free(want.ids);
    return ok;
}

bool
check_count(const char *text, size_t len, uint64_t want)
{
    uint64_t    got = sst_token_count(vocab, text, len, NULL);

    if (got != want && failed < SHOWN)
        fprintf(stderr, "count is %" PRIu64 ", not %" PRIu64 ", for \"%.*s\"...\n", got, want,
                len < 40 ? (int) len : 40, text);
    return got == want;
}

/* The text in slices of size further bytes each. */
static bool
check_slices(const char *text, size_t len, size_t size, tokens all)
{
    tokens      got = {.ids = allocate((all.n + SST_MAX_WORD + size) * sizeof(int32_t)), .n = 1};
    sst_word    word = {0};
    bool        ok;

    for (size_t read = 0, end = 0, count; end < len; got.n += count)
    {
        char       *slice;

        end = len - end < size ? len : end + size;
        slice = memcpy(allocate(end - read), text + read, end - read);
        read += sst_tokenize_slice(vocab, &word, slice, end - read, end == len, got.ids + got.n, &count, NULL);
        free(slice);
    }
    got.ids[0] = vocab->cls;
    got.ids[got.n++] = vocab->sep;
    ok = is_equal(all, got) || fail("ids in slices", text, len, all, got);
    free(got.ids);
    return ok;
}

/* Are these n ids all that text[from..to) gives, besides [CLS] and [SEP]? */
static bool
check_part(const char *what, const char *text, size_t from, size_t to, const int32_t *ids, size_t n)
{
    tokens      want = {.ids = allocate((n + 2) * sizeof(int32_t)), .n = n + 2};
    bool        ok;

    want.ids[0] = vocab->cls;
    memcpy(want.ids + 1, ids, n * sizeof(int32_t));
    want.ids[n + 1] = vocab->sep;
    ok = check_tokens(what, text + from, to - from, false, n + 10, want);
    free(want.ids);
    return ok;
}

/* The bytes of each word give its pieces, and those between words give none. */
static bool
check_spans(const char *text, size_t len, tokens all)
{
    tokens      got = {.ids = allocate(all.n * sizeof(int32_t))};
    sst_span   *spans = allocate(all.n * sizeof(sst_span));
    size_t      at = 0;
    bool        ok;

    got.n = sst_tokenize_spans(vocab, text, len, false, got.ids, spans, all.n, &got.truncated, NULL);
    ok = is_equal(all, got) || fail("ids with spans", text, len, all, got);
    for (size_t i = 1, next; ok && i < all.n - 1; at = spans[i].to, i = next)
    {
        for (next = i + 1; next < all.n - 1 && spans[next].from == spans[i].from && spans[next].to == spans[i].to;)
            next++;
        ok = at <= spans[i].from && spans[i].from < spans[i].to && spans[i].to <= len
            && check_part("ids between words", text, at, spans[i].from, all.ids, 0)
            && check_part("ids of a word", text, spans[i].from, spans[i].to, all.ids + i, next - i);
    }
    ok = ok && check_part("ids behind all words", text, at, len, all.ids, 0);
    free(got.ids);
    free(spans);
    return ok;
}

bool
check_text(const char *text, size_t len, tokens all)
{
    static const size_t limits[] = {2, 3, 4, 5, POSITIONS};
    bool        ok = check_tokens("ids", text, len, false, all.n, all)
        && check_tokens("ids with room to spare", text, len, false, all.n + 10, all)
        && check_count(text, len, all.n)
        && check_spans(text, len, all)
        && check_slices(text, len, 1, all)
        && check_slices(text, len, 50, all);

    for (size_t i = 0; ok && i < sizeof(limits) / sizeof(limits[0]); i++)
        ok = check_truncated(text, len, limits[i], all);
    return ok;
}
