/*
 * bounds.c - what a hostile file and a text can make the core do, counted in ticks: counts beyond what the format needs, and
 * vocabularies whose tables lie or make look-ups long. Prints TAP.
 *
 *   bounds MODEL.dsst
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/packed.h"
#include "map_model.h"
#include "support/tap.h"
#include "vocab_table.h"

static void
count_tick(void *arg)
{
    ++*(uint64_t *) arg;
}

static uint64_t ticks;
static const sst_tick tick = {count_tick, &ticks};

/* ---- headers --------------------------------------------------------------------------------- */

/* What sst_model_open says about a file of which only the header is there: ASan sees any read beyond it. */
static sst_status
open_header(const sst_packed_header *header, uint64_t size)
{
    sst_packed_header *copy;
    sst_model   model;
    sst_status  status;

    if (posix_memalign((void **) &copy, 64, sizeof(*copy)) != 0)
        exit(2);
    *copy = *header;
    copy->file_size = size;
    copy->header_hash = sst_hash64(copy, offsetof(sst_packed_header, header_hash));
    ticks = 0;
    status = sst_model_open(&model, copy, (size_t) sst_packed_view(&model, header, header), &tick);
    free(copy);
    return status;
}

/* Is a header with one changed field refused, though the file has the size that it says? */
static bool
is_refused(const sst_packed_header *good, size_t field, uint32_t value)
{
    sst_packed_header header = *good;
    sst_model   model;

    memcpy((char *) &header + field, &value, sizeof(value));
    return open_header(&header, sst_packed_view(&model, &header, &header)) == SST_BAD_SHAPE && ticks == 0;
}

#define REFUSED(field, value) is_refused(good, offsetof(sst_packed_header, field), value)

static void
test_headers(const sst_packed_header *good)
{
    const uint32_t vocab = good->shape.vocab;
    sst_packed_header sparse = *good;
    sst_model   model;

    ok(REFUSED(selftests, SST_MAX_SELFTESTS + 1) && REFUSED(selftest_bytes, SST_MAX_STRINGS + 1) &&
       REFUSED(label_bytes, SST_MAX_STRINGS + 1) && REFUSED(vocab_bytes, vocab * SST_MAX_PIECE + 1),
       "a count above its limit is refused before the tables are read");
    ok(REFUSED(vocab_slots, 2 * good->vocab_slots) && REFUSED(vocab_slots, good->vocab_slots / 2) &&
       REFUSED(vocab_slots, good->vocab_slots + 1) && REFUSED(vocab_slots, 0),
       "any other number of slots than the vocabulary needs is refused before the tables are read");
    sparse.shape.labels = SST_MAX_LABELS;
    sparse.selftests = 1000000;
    ok(open_header(&sparse, sst_packed_view(&model, &sparse, &sparse)) == SST_BAD_SHAPE && ticks == 0,
       "a million self-test vectors of 1024 labels are refused before they are read");
    ok(open_header(good, sst_packed_view(&model, good, good) + (UINT64_C(1) << 32)) == SST_WRONG_SIZE,
       "a size that is right but for 4 GB is refused");
}

/* ---- tables ---------------------------------------------------------------------------------- */

static const char specials[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n";

/* The special tokens and lines. */
static const char *
make_table(const char *lines, sst_vocab_table *table)
{
    char       *copy = malloc(sizeof(specials) + strlen(lines));

    strcpy(copy, specials);
    strcat(copy, lines);
    return sst_vocab_table_make(copy, strlen(copy), table);
}

static bool
is_sane(const sst_vocab_table *table)
{
    ticks = 0;
    return sst_vocab_is_sane(&table->vocab, (uint32_t) table->bytes_len, &tick);
}

/* The slot of a piece, or the empty one where it belongs. */
static sst_vocab_slot *
slot_of(const sst_vocab_table *table, const char *piece)
{
    size_t      len = strlen(piece);

    return &table->slots[sst_vocab_probe(&table->vocab, sst_vocab_hash_piece(piece, len), piece, len)];
}

/* A table is refused while slot is value. */
static bool
refuses_slot(const sst_vocab_table *table, sst_vocab_slot *slot, sst_vocab_slot value)
{
    sst_vocab_slot kept = *slot;
    bool        refused;

    *slot = value;
    refused = !is_sane(table);
    *slot = kept;
    return refused && is_sane(table);
}

static bool
refuses_longest(sst_vocab_table *table, uint32_t longest)
{
    uint32_t    kept = table->vocab.longest;
    bool        refused;

    table->vocab.longest = longest;
    refused = !is_sane(table);
    table->vocab.longest = kept;
    return refused && is_sane(table);
}

static void
test_tables(void)
{
    sst_vocab_table table;
    sst_vocab_slot *slot;

    ok(make_table("twice\nonce\ntwice\n", &table) == NULL && is_sane(&table), "a table is what its pieces give");
    slot = slot_of(&table, "once");
    ok(refuses_slot(&table, slot, (sst_vocab_slot) {0, 0}), "a table that hides a piece is refused");
    ok(refuses_slot(&table, slot, (sst_vocab_slot) {slot->hash ^ 1, slot->id_plus_1}), "and one with a wrong hash");
    ok(refuses_slot(&table, slot, (sst_vocab_slot) {slot->hash, 9}), "and one with an id beyond the vocabulary");
    slot = slot_of(&table, "twice");
    ok(refuses_slot(&table, slot, (sst_vocab_slot) {slot->hash, slot->id_plus_1 - 2}),
       "and one that finds the first of two equals");
    slot = slot_of(&table, "never");
    ok(refuses_slot(&table, slot, (sst_vocab_slot) {1, 1}), "and one with a slot that no piece finds");
    ok(refuses_longest(&table, 4) && refuses_longest(&table, 7), "and one that lies about its longest piece");
    sst_vocab_table_free(&table);
}

/* The table's last piece, which is line, gets another byte a. */
static void
lengthen(sst_vocab_table *table, char *line)
{
    uint32_t    id_plus_1 = table->vocab.size;

    *slot_of(table, line) = (sst_vocab_slot) {0, 0};
    strcat(line, "a");
    table->vocab.longest = ++table->offsets[id_plus_1];
    table->vocab.longest -= table->offsets[id_plus_1 - 1];
    table->bytes = realloc(table->bytes, ++table->bytes_len);
    table->bytes[table->bytes_len - 1] = 'a';
    table->vocab.bytes = table->bytes;
    table->vocab.bytes_size = (uint32_t) table->bytes_len;
    *slot_of(table, line) = (sst_vocab_slot) {sst_vocab_hash_piece(line, strlen(line)), id_plus_1};
}

static void
test_longest(void)
{
    sst_vocab_table table;
    char        line[SST_MAX_PIECE + 2] = {0};

    memset(line, 'a', SST_MAX_PIECE - 1);
    ok(make_table(line, &table) == NULL && is_sane(&table), "a piece of 401 bytes");
    lengthen(&table, line);
    ok(is_sane(&table), "a piece may have 402 bytes");
    lengthen(&table, line);
    ok(!is_sane(&table), "and no more in a table");
    sst_vocab_table_free(&table);
    ok(make_table(line, &table) != NULL, "and no more in a vocabulary's line");
}

/* ---- long probes ----------------------------------------------------------------------------- */

#define CROWD_SLOTS 512         /* of a vocabulary of 129 to 256 pieces; the special tokens are in 9, 141, 189, 322 and 353 */
#define CROWD_HOME 360          /* room for 129 pieces */
#define CROWD_AROUND 390        /* the same, beyond the table's end too */

/* So many pieces that have the same slot, home, and stand in a row from there on. */
static const char *
make_crowd(uint32_t home, int pieces, sst_vocab_table *table)
{
    char       *lines = calloc(pieces, 16);
    char       *end = lines;
    const char *problem;

    for (int i = 0; pieces > 0; i++)
    {
        int         len = sprintf(end, "piece%d", i);

        if (sst_vocab_hash_piece(end, len) % CROWD_SLOTS != home)
            continue;
        end += len;
        *end++ = '\n';
        pieces--;
    }
    *end = '\0';
    problem = make_table(lines, table);
    free(lines);
    return problem;
}

static void
test_runs(void)
{
    static const uint32_t homes[] = {CROWD_HOME, CROWD_AROUND};
    sst_vocab_table table;

    for (int i = 0; i < 2; i++)
    {
        bool        made = make_crowd(homes[i], SST_MAX_RUN, &table) == NULL;
        bool        around = made && table.slots[0].id_plus_1 && table.slots[CROWD_SLOTS - 1].id_plus_1;
        const char *problem;

        ok(made && table.vocab.slot_mask == CROWD_SLOTS - 1 && is_sane(&table) && around == (i == 1),
           i ? "or around the table's end" : "128 pieces may stand in a row");
        if (made)
            sst_vocab_table_free(&table);
        problem = make_crowd(homes[i], SST_MAX_RUN + 1, &table);
        ok(problem && strcmp(problem, "too many pieces of the vocabulary have the same hash") == 0, "and no more");
    }
}

/* Words that are the last piece of a row: each looks at all of its slots. */
static void
test_long_probes(void)
{
    sst_vocab_table table;
    char        text[1000 * 16] = "";
    char       *end = text;
    const char *last;
    size_t      len;

    ok(make_crowd(CROWD_HOME, SST_MAX_RUN, &table) == NULL, "a vocabulary with 128 pieces in a row");
    last = sst_piece(&table.vocab, (int32_t) table.vocab.size - 1, &len);
    for (int i = 0; i < 1000; i++)
        end += sprintf(end, "%.*s ", (int) len, last);
    ticks = 0;
    ok(sst_token_count(&table.vocab, text, (size_t) (end - text), &tick) == 2 + 1000 && ticks >= 1000 * SST_MAX_RUN / 4096,
       "a look-up of 128 slots is counted as 128");
    sst_vocab_table_free(&table);
}

/* All slots but one taken, as no table of so many pieces is. */
static void
test_full_table(void)
{
    enum
    {
        SLOTS = 1 << 22
    };
    sst_vocab_table table = {.vocab = {.slot_mask = SLOTS - 1, .size = SLOTS / 2, .longest = 400, .unk = 1}};

    table.slots = malloc(SLOTS * sizeof(*table.slots));
    table.offsets = calloc(SLOTS / 2 + 1, sizeof(*table.offsets));
    table.bytes = calloc(400, 1);
    table.bytes_len = 400;
    for (uint32_t i = 0; i < SLOTS; i++)
        table.slots[i] = (sst_vocab_slot) {1, i % (SLOTS / 2) + 1};
    table.slots[SLOTS - 1].id_plus_1 = 0;
    for (uint32_t id = 1; id <= SLOTS / 2; id++)
        table.offsets[id] = 400;
    table.vocab.slots = table.slots;
    table.vocab.offsets = table.offsets;
    table.vocab.bytes = table.bytes;
    table.vocab.bytes_size = (uint32_t) table.bytes_len;
    ok(!is_sane(&table) && ticks >= SLOTS / 2 / 65536 && ticks < SLOTS / 65536,
       "2^22 slots, all but one taken, are refused by their first run");
    sst_vocab_table_free(&table);
}

/* ---- ticks ----------------------------------------------------------------------------------- */

/* Words of 100 letters, each of which is a piece. Every longer piece is looked up first: 5050 look-ups per word. */
static void
test_text(void)
{
    char        lines[128] = "x\n##x\n";
    char        text[1010];
    sst_vocab_table table;
    uint64_t    count;

    memset(lines + strlen(lines), 'y', 2 + SST_MAX_WORD);
    ok(make_table(lines, &table) == NULL, "a vocabulary with a piece as long as a word");
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = i % 101 == 100 ? ' ' : 'x';
    ticks = 0;
    count = sst_token_count(&table.vocab, text, sizeof(text), &tick);
    ok(count == 2 + 10 * 100 && ticks >= 10 * 2 * 5050 / 4096 - 1 && ticks <= 1010 * SST_WORK_PER_BYTE / 4096,
       "a text of 1010 bytes that takes 50500 look-ups ticks among them");
    sst_vocab_table_free(&table);
}

static uint64_t
parts(uint64_t size, uint64_t part)
{
    return (size + part - 1) / part;
}

static void
test_opening(const sst_model *good)
{
    sst_model   model;
    uint64_t    tables = sst_packed_tables_end(good) - sizeof(sst_packed_header);
    uint64_t    want = parts(tables, 1 << 20) + parts(good->shape.vocab, 65536) +
        parts(good->vocab.slot_mask + SST_MAX_RUN + 1, 65536) + parts(good->shape.vocab, 32);

    ticks = 0;
    ok(sst_model_open(&model, good->file, good->file_size, &tick) == SST_OK && ticks == want,
       "opening ticks every MB that is hashed, every 65536 slots and every 32 pieces");
}

/* A table that lies, with the right checksums. */
static void
test_lie(const sst_model *good)
{
    sst_packed_header *file = aligned_alloc(64, good->file_size);
    sst_model   model;
    sst_vocab_slot *slots;

    memcpy(file, good->file, good->file_size);
    sst_packed_view(&model, file, file);
    slots = (sst_vocab_slot *) model.vocab.slots;
    for (uint32_t i = 0; i <= model.vocab.slot_mask; i++)
        slots[i].hash ^= slots[i].id_plus_1 == 1;
    file->tables_hash = sst_hash64(file + 1, sst_packed_tables_end(&model) - sizeof(*file));
    file->header_hash = sst_hash64(file, offsetof(sst_packed_header, header_hash));
    ok(sst_model_open(&model, file, good->file_size, NULL) == SST_BAD_SHAPE, "a file whose table hides a piece is refused");
    free(file);
}

int
main(int argc, char **argv)
{
    sst_model   model;

    if (argc != 2)
    {
        fputs("usage: bounds MODEL.dsst\n", stderr);
        return 2;
    }
    map_model(argv[1], &model);
    test_headers((const sst_packed_header *) model.file);
    test_lie(&model);
    test_opening(&model);
    test_tables();
    test_longest();
    test_runs();
    test_full_table();
    test_text();
    test_long_probes();
    printf("1..%d\n", tests);
    return failures != 0;
}
