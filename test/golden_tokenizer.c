/*
 * golden_tokenizer.c - the tokenizer against rows that an independent implementation wrote.
 *
 *   golden_tokenizer VOCAB.txt FILE...
 *
 * A FILE is, by its rows, one of these (.gz is read through gzip):
 *   {"text", "ids"}                          all ids
 *   {"text", "n_full", "ids"}                their number, and the ids truncated to 512
 *   {"base", "repeat", "n_full", "fnv_full", "ids"}   the same for a text that is base repeated
 *   first last class form ids ids            .tsv: for code points c, ids of a + c + b and of c alone
 *   first last words                         .tsv: the words that a + c + b becomes, whatever the vocabulary
 *
 * For the first kind every way of asking is tried: counted, truncated, and with only the beginning of the text at
 * hand. Some bytes that are not UTF-8 are tried first, without a file. Prints TAP.
 */
#define _POSIX_C_SOURCE 200809L /* getline, popen */

#include "core/sst.h"
#include "splitmix64.h"
#include "support/tap.h"
#include "vocab_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#define POSITIONS 512
#define SHOWN 5                 /* failures shown in full, per file */
#define PREFIXES_BELOW 300      /* bytes of a text of which every beginning is tried */
#define LAST 0x10FFFF
#define PADDING "      "        /* ends whatever a text may leave open */

static const sst_vocab *vocab;
static long passed, failed;

typedef struct tokens
{
    int32_t    *ids;
    size_t      n;
    bool        truncated;
} tokens;

static void *
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

/* Tokenise a copy of exactly the text's size, so that a sanitizer sees a read beyond it. */
static tokens
tokenize(const char *text, size_t len, bool partial, size_t max)
{
    char       *copy = memcpy(allocate(len), text, len);
    tokens      t = {.ids = allocate(max * sizeof(int32_t))};

    t.n = sst_tokenize(vocab, copy, len, partial, t.ids, max, &t.truncated, NULL);
    free(copy);
    return t;
}

static bool
is_equal(tokens a, tokens b)
{
    return a.n == b.n && a.truncated == b.truncated
        && (a.n == 0 || memcmp(a.ids, b.ids, a.n * sizeof(int32_t)) == 0);
}

/* ---- results --------------------------------------------------------------------------------- */

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

static void
finish_row(bool right)
{
    if (right)
        passed++;
    else
        failed++;
}

/* ---- one text, asked in every way ------------------------------------------------------------ */

static bool
check_tokens(const char *what, const char *text, size_t len, bool partial, size_t max, tokens want)
{
    tokens      got = tokenize(text, len, partial, max);
    bool        ok = is_equal(want, got) || fail(what, text, len, want, got);

    free(got.ids);
    return ok;
}

/* What is known from a beginning of the text must be the answer for the whole. */
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

/* The same where the beginning goes on after the text: then it must be known just if it is truncated. */
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

/* all: every id, untruncated. */
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

static bool
check_count(const char *text, size_t len, uint64_t want)
{
    uint64_t    got = sst_token_count(vocab, text, len, NULL);

    if (got != want && failed < SHOWN)
        fprintf(stderr, "count is %" PRIu64 ", not %" PRIu64 ", for \"%.*s\"...\n", got, want,
                len < 40 ? (int) len : 40, text);
    return got == want;
}

/* Taken in slices of this many bytes more each. */
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

/* Is this all that text[from..to) gives? */
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

/* The bytes of each word give its pieces, and what is between words gives none. */
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

static bool
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

/* ---- JSON rows ------------------------------------------------------------------------------- */

static tokens
read_ids(const json_t *array)
{
    tokens      t = {.ids = allocate(json_array_size(array) * sizeof(int32_t)), .n = json_array_size(array)};

    for (size_t i = 0; i < t.n; i++)
        t.ids[i] = (int32_t) json_integer_value(json_array_get(array, i));
    return t;
}

/* FNV-1a, 64 bits, over all ids as four little-endian bytes each, in 16 hex digits. */
static bool
check_fnv(const char *text, size_t len, uint64_t n, const char *want)
{
    uint64_t    hash = UINT64_C(14695981039346656037);
    tokens      all = tokenize(text, len, false, n);
    char        got[17];

    for (size_t i = 0; i < all.n; i++)
        for (int byte = 0; byte < 4; byte++)
            hash = (hash ^ ((uint32_t) all.ids[i] >> (8 * byte) & 0xFF)) * UINT64_C(1099511628211);
    free(all.ids);
    snprintf(got, sizeof(got), "%016" PRIx64, hash);
    return strcmp(got, want) == 0;
}

static bool
check_long(const json_t *row, tokens ids)
{
    const char *base = json_string_value(json_object_get(row, "base"));
    size_t      base_len = json_string_length(json_object_get(row, "base"));
    size_t      repeat = (size_t) json_integer_value(json_object_get(row, "repeat"));
    uint64_t    n = (uint64_t) json_integer_value(json_object_get(row, "n_full"));
    char       *text = allocate(base_len * repeat + 1);
    bool        ok;

    for (size_t i = 0; i < repeat; i++)
        memcpy(text + i * base_len, base, base_len);
    text[base_len * repeat] = '\0';
    ids.truncated = n > POSITIONS;
    ok = check_tokens("ids", text, base_len * repeat, false, POSITIONS, ids)
        && check_count(text, base_len * repeat, n)
        && check_fnv(text, base_len * repeat, n, json_string_value(json_object_get(row, "fnv_full")));
    free(text);
    return ok;
}

static bool
check_row(const json_t *row)
{
    const char *text = json_string_value(json_object_get(row, "text"));
    size_t      len = json_string_length(json_object_get(row, "text"));
    const json_t *n_full = json_object_get(row, "n_full");
    tokens      ids = read_ids(json_object_get(row, "ids"));
    bool        ok;

    if (!text)
        ok = check_long(row, ids);
    else if (n_full)
    {
        ids.truncated = json_integer_value(n_full) > POSITIONS;
        ok = check_tokens("ids", text, len, false, POSITIONS, ids)
            && check_count(text, len, (uint64_t) json_integer_value(n_full));
    }
    else
        ok = check_text(text, len, ids);
    free(ids.ids);
    return ok;
}

static void
read_json_row(const char *line)
{
    json_error_t error;
    json_t     *row = json_loads(line, 0, &error);

    if (!row)
    {
        fprintf(stderr, "not JSON: %s\n", error.text);
        finish_row(false);
        return;
    }
    finish_row(check_row(row));
    json_decref(row);
}

/* ---- code points ----------------------------------------------------------------------------- */

static bool
is_surrogate(uint32_t c)
{
    return c >= 0xD800 && c <= 0xDFFF;
}

/* The data were split in two by this formula, and a range speaks for one of the parts only. */
static bool
is_spoken_for(uint32_t c)
{
    return (c * 2654435761u >> 16) % 5 < 3;
}

static size_t
encode(uint32_t c, char *out)
{
    int         more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    static const unsigned char lead[] = {0, 0xC0, 0xE0, 0xF0};

    out[0] = (char) (lead[more] | c >> (6 * more));
    for (int i = 1; i <= more; i++)
        out[i] = (char) (0x80 | (c >> (6 * (more - i)) & 0x3F));
    return (size_t) more + 1;
}

static tokens
parse_ids(const char *text)
{
    tokens      t = {.ids = allocate((strlen(text) / 2 + 1) * sizeof(int32_t))};
    char       *end;

    for (;; text = end)
    {
        long        id = strtol(text, &end, 10);

        if (end == text)
            return t;
        t.ids[t.n++] = (int32_t) id;
    }
}

/* The text a + c + b. */
static size_t
set_between(uint32_t c, char text[6])
{
    size_t      len = encode(c, text + 1);

    text[0] = 'a';
    text[1 + len] = 'b';
    return len + 2;
}

static void
read_sweep_row(uint32_t first, uint32_t last, const char *ids_between, const char *ids_alone)
{
    tokens      between = parse_ids(ids_between);
    tokens      alone = parse_ids(ids_alone);

    for (uint32_t c = first; c <= last; c++)
    {
        char        text[6];
        size_t      len;

        if (!is_spoken_for(c) || is_surrogate(c))
            continue;
        len = set_between(c, text);
        finish_row(check_tokens("ids of a character between", text, len, false, between.n, between)
                   && check_tokens("ids of a character", text + 1, len - 2, false, alone.n, alone)
                   && check_count(text, len, between.n));
    }
    free(between.ids);
    free(alone.ids);
}

/* A vocabulary of all characters, so that the ids show what became of each: c has 5 + 2c, and ##c one more. */
static sst_vocab_table
make_characters(void)
{
    static const char specials[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";
    char       *lines = allocate(sizeof(specials) + (size_t) (LAST + 1) * 12);
    size_t      len = strlen(specials);
    sst_vocab_table table;
    const char *problem;

    memcpy(lines, specials, len);
    for (uint32_t c = 0; c <= LAST; c++)
        for (int further = 0; further < 2; further++)
        {
            if (further)
                len += (size_t) sprintf(lines + len, "##");
            if (c != 0 && c != '\n' && c != '\r' && !is_surrogate(c))
                len += encode(c, lines + len);
            lines[len++] = '\n';
        }
    problem = sst_vocab_table_make(lines, len, &table);
    if (problem)
    {
        fprintf(stderr, "%s\n", problem);
        exit(2);
    }
    return table;
}

/* words: code points in hex, = for c itself, joined by _, the words by spaces. */
static tokens
spell_words(const char *words, uint32_t c)
{
    tokens      t = {.ids = allocate((strlen(words) + 2) * sizeof(int32_t))};
    bool        further = false;

    t.ids[t.n++] = vocab->cls;
    while (*words && *words != '\n')
    {
        char       *end = (char *) words + 1;
        uint32_t    part = *words == '=' ? c : (uint32_t) strtoul(words, &end, 16);

        t.ids[t.n++] = (int32_t) (5 + 2 * part + further);
        further = *end == '_';
        words = end + (*end == '_' || *end == ' ');
    }
    t.ids[t.n++] = vocab->sep;
    return t;
}

static void
read_words_row(uint32_t first, uint32_t last, const char *words)
{
    for (uint32_t c = first; c <= last; c++)
    {
        char        text[6];
        size_t      len = set_between(c, text);
        tokens      want = spell_words(words, c);

        finish_row(check_tokens("words", text, len, false, want.n, want));
        free(want.ids);
    }
}

static void
read_code_points(char *line, const sst_vocab *characters)
{
    const sst_vocab *given = vocab;
    char       *column[6] = {strtok(line, "\t")};
    uint32_t    first, last;

    for (int i = 1; i < 6; i++)
        column[i] = strtok(NULL, "\t");
    first = (uint32_t) strtoul(column[0], NULL, 16);
    last = (uint32_t) strtoul(column[1], NULL, 16);
    if (column[5])
        read_sweep_row(first, last, column[4], column[5]);
    else
    {
        vocab = characters;
        read_words_row(first, last, column[2]);
        vocab = given;
    }
}

/* ---- bytes that are not UTF-8 ---------------------------------------------------------------- */

/* Bytes and a valid text with the same ids. */
static const struct
{
    const char *bytes;
    size_t      len;
    const char *same;
}           garbage[] = {
    {"good\0 mov\0ie", 12, "good movie"},   /* NUL is a control character */
    {"\0", 1, ""},
    {"good\xff movie\xfe", 12, "good movie"},
    {"\x80\xbfgood\x80", 7, "good"},        /* continuation bytes alone */
    {"go\xc0\xafod", 6, "good"},            /* overlong */
    {"go\xe0\x80\xafod", 7, "good"},
    {"go\xf0\x80\x80\xafod", 8, "good"},
    {"go\xed\xa0\x80od", 7, "good"},        /* surrogates */
    {"go\xed\xbf\xbfod", 7, "good"},
    {"go\xf4\x90\x80\x80od", 8, "good"},    /* beyond U+10FFFF */
    {"go\xf8\x88\x80\x80\x80od", 9, "good"},
    {"good \xe2", 6, "good "},              /* cut off at the end */
    {"good \xe2\x82", 7, "good "},
    {"good \xf0\x9f\x98", 8, "good "},
    {"good\xe2\x82 movie", 12, "good movie"},   /* cut off within */
    {"\xe2\xc3\xa9", 3, "e"},               /* the good character after a bad byte survives */
    {"\xf0\x9f\xe4\xb8\xad!", 6, "\xe4\xb8\xad!"},
    {"[CLS\xff] [\xffSEP] [MASK]\xff", 21, "[ cls ] [ sep ] [MASK]"},
};

static void
check_garbage(void)
{
    for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++)
    {
        tokens      want = tokenize(garbage[i].same, strlen(garbage[i].same), false, POSITIONS);

        finish_row(check_text(garbage[i].bytes, garbage[i].len, want));
        free(want.ids);
    }
}

/* Random bytes, more of those that begin something: the ways of asking must agree. */
static void
check_random(void)
{
    static const char common[] = "aab  ..[CLSEP]MASK\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80\xcc\x81\xed\xa0\xff";
    uint64_t    seed = 1;

    for (int round = 0; round < 3000; round++)
    {
        char        text[64];
        tokens      all;

        for (size_t i = 0; i < sizeof(text); i++)
        {
            uint64_t    random = splitmix64(&seed);

            text[i] = random % 2 ? common[random / 2 % (sizeof(common) - 1)] : (char) (random >> 8);
        }
        all = tokenize(text, sizeof(text), false, POSITIONS);
        finish_row(check_text(text, sizeof(text), all));
        free(all.ids);
    }
}

/* ---- stopping early, and the vocabulary ------------------------------------------------------ */

static void
count_tick(void *arg)
{
    ++*(int *) arg;
}

/* A text of megabytes is left before the second tick once the answer is known; counting ticks all the way. */
static void
check_stop(const char *base, size_t max)
{
    size_t      len = strlen(base) << 20;
    char       *text = allocate(len);
    int32_t    *ids = allocate(max * sizeof(int32_t));
    int         ticks = 0;
    sst_tick    tick = {count_tick, &ticks};
    bool        truncated = false;
    size_t      n;

    for (size_t i = 0; i < len; i++)
        text[i] = base[i % strlen(base)];
    n = sst_tokenize(vocab, text, len, true, ids, max, &truncated, &tick);
    finish_row(n == max && truncated && ticks <= 1);
    ticks = 0;
    sst_token_count(vocab, text, len, &tick);
    finish_row(ticks >= (int) (len >> 17));
    free(ids);
    free(text);
}

static void
check_vocabulary(const char *lines, size_t len, const char *want)
{
    sst_vocab_table table;
    const char *problem = sst_vocab_table_make(memcpy(allocate(len), lines, len), len, &table);

    if (!problem)
        sst_vocab_table_free(&table);
    finish_row(want ? problem && strcmp(problem, want) == 0 : !problem);
}

/* Equal lines: the last counts; \r\n is a line's end too, and the last line may have none. */
static void
check_vocabularies(void)
{
    static const char good[] = "[PAD]\na\r\na\n\n[UNK]\n[CLS]\n[SEP]\n##a\n[MASK]";
    const sst_vocab *given = vocab;
    int32_t     want[] = {5, 2, 7, 6};
    sst_vocab_table table;

    check_vocabulary(good, 0, "the vocabulary is empty");
    check_vocabulary("[PAD]\0", 6, "the vocabulary contains a NUL byte");
    check_vocabulary(good, strlen(good) - 1, "the vocabulary has no [MASK]");
    check_vocabulary("x\n", 2, "the vocabulary has no [PAD]");
    check_vocabulary(good, strlen(good), NULL);

    if (sst_vocab_table_make(memcpy(allocate(strlen(good)), good, strlen(good)), strlen(good), &table) != NULL)
        return;
    vocab = &table.vocab;
    finish_row(check_text("AA", 2, (tokens) {want, 4, false}));
    vocab = given;
    sst_vocab_table_free(&table);
}

/* ---- files ----------------------------------------------------------------------------------- */

static bool
ends_with(const char *text, const char *end)
{
    return strlen(text) >= strlen(end) && strcmp(text + strlen(text) - strlen(end), end) == 0;
}

static FILE *
open_file(const char *path)
{
    char        command[4096];

    if (!ends_with(path, ".gz"))
        return fopen(path, "r");
    if (snprintf(command, sizeof(command), "gzip -dc '%s'", path) >= (int) sizeof(command))
        return NULL;
    return popen(command, "r");
}

static void
report(const char *name)
{
    ok(failed == 0 && passed > 0, name);
    printf("# %ld rows right, %ld wrong\n", passed, failed);
    passed = failed = 0;
}

static void
check_file(const char *path, const sst_vocab *characters)
{
    FILE       *file = open_file(path);
    char       *line = NULL;
    size_t      room = 0;

    if (!file)
    {
        ok(false, path);
        return;
    }
    while (getline(&line, &room, file) > 0)
    {
        if (ends_with(path, ".tsv") || ends_with(path, ".tsv.gz"))
            read_code_points(line, characters);
        else
            read_json_row(line);
    }
    free(line);
    if (ends_with(path, ".gz"))
        pclose(file);
    else
        fclose(file);
    report(path);
}

int
main(int argc, char **argv)
{
    sst_vocab_table table, characters;
    const char *problem;

    if (argc < 2)
    {
        fprintf(stderr, "usage: golden_tokenizer VOCAB.txt FILE...\n");
        return 2;
    }
    problem = sst_vocab_table_read(argv[1], &table);
    if (problem)
    {
        fprintf(stderr, "%s: %s\n", argv[1], problem);
        return 2;
    }
    vocab = &table.vocab;
    characters = make_characters();

    check_garbage();
    report("bytes that are not UTF-8");
    check_random();
    report("random bytes");
    check_stop("a ", POSITIONS);
    check_stop("a", 2);
    check_stop("[", 3);
    report("stopping early");
    check_vocabularies();
    report("vocabularies");
    for (int i = 2; i < argc; i++)
        check_file(argv[i], &characters.vocab);
    sst_vocab_table_free(&table);
    sst_vocab_table_free(&characters);
    printf("1..%d\n", tests);
    return failures != 0;
}
