/*
 * slowest.c - which vocabulary and text make the tokenizer work most for a byte of text?
 *
 * Input: the vocabulary's lines, a NUL byte, a text. Five lines with the special tokens go before the lines. The text is
 * repeated, a line each, until its ticks tell its work. libFuzzer takes more work for new code, and so climbs.
 */
#include <math.h>

#include "fuzz.h"
#include "vocab_table.h"

#define WORK 4096               /* between two ticks at least, as in tokenizer.c */
#define BYTES 2048              /* of the repeated text, at least */
#define STEPS 8                 /* counters for twice the work */

static const char specials[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";

__attribute__((section("__libfuzzer_extra_counters"))) static uint8_t counters[STEPS * 16];

static void
count_tick(void *arg)
{
    ++*(uint64_t *) arg;
}

/* Work of a byte of text, to within WORK / BYTES. */
static double
work_per_byte(const sst_vocab *vocab, const char *text, size_t len)
{
    size_t      times = BYTES / (len + 1) + 1;
    char       *many = malloc(times * (len + 1));
    uint64_t    ticks = 0;
    const sst_tick tick = {count_tick, &ticks};

    for (size_t i = 0; i < times; i++)
    {
        memcpy(many + i * (len + 1), text, len);
        many[i * (len + 1) + len] = '\n';
    }
    sst_token_count(vocab, many, times * (len + 1), &tick);
    free(many);
    return (double) (ticks * WORK) / (double) (times * (len + 1));
}

static void
note_work(double work)
{
    static double most;

    MUST(work <= SST_WORK_PER_BYTE);
    if (work >= 1)
        counters[(size_t) (STEPS * log2(work))] = 1;
    if (work > most)
        fprintf(stderr, "slowest: %.0f bytes hashed and slots looked at for a byte of text\n", most = work);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = memchr(data, '\0', size);
    size_t      len = end ? (size_t) (end - data) : size;
    char       *lines = malloc(sizeof(specials) - 1 + len);
    sst_vocab_table table;

    memcpy(lines, specials, sizeof(specials) - 1);
    memcpy(lines + sizeof(specials) - 1, data, len);
    if (sst_vocab_table_make(lines, sizeof(specials) - 1 + len, &table) != NULL)
        return 0;
    if (end)
        note_work(work_per_byte(&table.vocab, (const char *) end + 1, size - len - 1));
    sst_vocab_table_free(&table);
    return 0;
}
