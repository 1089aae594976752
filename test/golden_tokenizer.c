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
 * The first kind is asked in every way. Prints TAP.
 */
#define _POSIX_C_SOURCE 200809L /* getline, popen */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "support/every_way.h"

#define LAST 0x10FFFF

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

/* This formula split the data in two, and a range speaks for one of the parts only. */
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

/* A vocabulary of all characters, whose ids show what became of each: c is 5 + 2c, and ##c one more. */
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

/* words: separated by spaces; a word's code points are in hex, or = for c itself, and joined by _. */
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
check_file(const char *path, const sst_vocab *characters)
{
    FILE       *file = open_file(path);
    char       *line = NULL;
    size_t      room = 0;

    if (!file)
    {
        perror(path);
        exit(2);
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

    if (argc < 3)
    {
        fprintf(stderr, "usage: golden_tokenizer VOCAB.txt FILE...\n");
        return 2;
    }
    table = read_vocabulary(argv[1]);
    vocab = &table.vocab;
    characters = make_characters();
    for (int i = 2; i < argc; i++)
        check_file(argv[i], &characters.vocab);
    sst_vocab_table_free(&table);
    sst_vocab_table_free(&characters);
    return end_tests();
}
