/*
 * tokenizer.c - the tokenizer, without golden rows: bytes that are not UTF-8, random bytes, stopping early, odd vocabularies.
 *
 *   tokenizer VOCAB.txt
 *
 * VOCAB.txt is that of bert-base-uncased. Prints TAP.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/every_way.h"
#include "support/random.h"

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

    for (int round = 0; round < 3000; round++)
    {
        char        text[64];
        tokens      all;

        for (size_t i = 0; i < sizeof(text); i++)
        {
            uint64_t    random = next_random();

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

/* Of a text of megabytes we read no further than the answer needs, at most one tick; counting reads it all. */
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

/* Of equal lines the last counts; \r\n ends a line, too, and the last line need not end. */
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

int
main(int argc, char **argv)
{
    sst_vocab_table table;

    if (argc != 2)
    {
        fprintf(stderr, "usage: tokenizer VOCAB.txt\n");
        return 2;
    }
    table = read_vocabulary(argv[1]);
    vocab = &table.vocab;
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
    sst_vocab_table_free(&table);
    return end_tests();
}
