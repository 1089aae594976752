/*
 * vocab_table.c - from vocab.txt to the hash table that the tokenizer probes.
 */
#include "vocab_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <utf8proc.h>

#define MAX_FILE (1u << 30)     /* offsets have 32 bits */

static char message[100];

/* The whole file in *data, which the caller frees. */
static const char *
read_file(const char *path, char **data, size_t *len)
{
    const char *problem = NULL;
    FILE       *file = fopen(path, "rb");
    size_t      room = 1 << 20;

    *data = NULL;
    *len = 0;
    if (!file)
        return "the vocabulary cannot be opened";
    for (;;)
    {
        char       *grown = realloc(*data, room);

        if (!grown)
        {
            problem = "out of memory";
            break;
        }
        *data = grown;
        *len += fread(*data + *len, 1, room - *len, file);
        if (*len < room)
            break;
        room *= 2;
        if (room > MAX_FILE)
        {
            problem = "the vocabulary is too large";
            break;
        }
    }
    if (!problem && ferror(file))
        problem = "the vocabulary cannot be read";
    fclose(file);
    return problem;
}

/* Lines to pieces: removes the lines' ends in place, in table->bytes. */
static const char *
split_lines(sst_vocab_table *table)
{
    size_t      lines = 0;
    size_t      kept = 0;

    for (size_t i = 0; i < table->bytes_len; i++)
        lines += table->bytes[i] == '\n' || i + 1 == table->bytes_len;
    if (lines == 0)
        return "the vocabulary is empty";
    if (lines > SST_MAX_VOCAB)
        return "the vocabulary has too many lines";
    table->offsets = malloc((lines + 1) * sizeof(*table->offsets));
    if (!table->offsets)
        return "out of memory";

    table->vocab.size = (uint32_t) lines;
    table->offsets[0] = 0;
    for (size_t line = 0, from = 0; line < lines; line++)
    {
        const char *newline = memchr(table->bytes + from, '\n', table->bytes_len - from);
        size_t      next = newline ? (size_t) (newline - table->bytes) + 1 : table->bytes_len;
        size_t      len = next - from - (newline ? 1 : 0);

        if (len > 0 && table->bytes[from + len - 1] == '\r')
            len--;
        memmove(table->bytes + kept, table->bytes + from, len);
        kept += len;
        table->offsets[line + 1] = (uint32_t) kept;
        if (len > table->vocab.longest)
            table->vocab.longest = (uint32_t) len;
        from = next;
    }
    if (table->vocab.longest > SST_MAX_PIECE)
        return "a line of the vocabulary is longer than 402 bytes";
    table->bytes_len = kept;
    return NULL;
}

static const char *
fill_slots(sst_vocab_table *table)
{
    uint32_t    slots = sst_vocab_slots(table->vocab.size);

    table->slots = calloc(slots, sizeof(*table->slots));
    if (!table->slots)
        return "out of memory";
    table->vocab.slots = table->slots;
    table->vocab.slot_mask = slots - 1;
    table->vocab.offsets = table->offsets;
    table->vocab.bytes = table->bytes;
    table->vocab.bytes_size = (uint32_t) table->bytes_len;
    for (uint32_t id = 0; id < table->vocab.size; id++)
    {
        size_t      len;
        const char *piece = sst_piece(&table->vocab, (int32_t) id, &len);
        uint32_t    hash = sst_vocab_hash_piece(piece, len);

        table->slots[sst_vocab_probe(&table->vocab, hash, piece, len)] = (sst_vocab_slot) {hash, id + 1};
    }
    return NULL;
}

static const char *
find_specials(sst_vocab_table *table)
{
    const struct
    {
        const char *piece;
        const char *problem;
        int32_t    *id;
    }           specials[] = {
        {"[PAD]", "the vocabulary has no [PAD]", &table->vocab.pad},
        {"[UNK]", "the vocabulary has no [UNK]", &table->vocab.unk},
        {"[CLS]", "the vocabulary has no [CLS]", &table->vocab.cls},
        {"[SEP]", "the vocabulary has no [SEP]", &table->vocab.sep},
        {"[MASK]", "the vocabulary has no [MASK]", &table->vocab.mask}
    };

    for (size_t i = 0; i < sizeof(specials) / sizeof(specials[0]); i++)
    {
        size_t      len = strlen(specials[i].piece);
        uint32_t    at = sst_vocab_probe(&table->vocab, sst_vocab_hash_piece(specials[i].piece, len), specials[i].piece, len);

        *specials[i].id = (int32_t) table->slots[at].id_plus_1 - 1;
        if (*specials[i].id < 0)
            return specials[i].problem;
    }
    return NULL;
}

/*
 * The tokenizer does not put a text's marks into canonical order. That can matter only if the vocabulary has marks of several
 * orders that stripping accents leaves.
 */
static const char *
check_marks(const sst_vocab_table *table)
{
    const utf8proc_uint8_t *bytes = (const utf8proc_uint8_t *) table->bytes;
    utf8proc_propval_t order = 0;
    utf8proc_int32_t c;

    for (size_t at = 0; at < table->bytes_len;)
    {
        utf8proc_ssize_t n = utf8proc_iterate(bytes + at, (utf8proc_ssize_t) (table->bytes_len - at), &c);
        utf8proc_propval_t its = n > 0 ? utf8proc_get_property(c)->combining_class : 0;

        at += n > 0 ? (size_t) n : 1;
        if (its == 0 || sst_is_mark(c))
            continue;
        if (order != 0 && its != order)
            return "the vocabulary has marks of several combining classes, which are read only where strip_accents is false";
        order = its;
    }
    return NULL;
}

const char *
sst_vocab_table_normalizer(sst_vocab_table *table, sst_normalizer normalizer)
{
    table->vocab.normalizer = normalizer;
    return normalizer.strip_accents ? check_marks(table) : NULL;
}

const char *
sst_vocab_table_make(char *lines, size_t len, sst_vocab_table *out)
{
    const char *problem = NULL;

    *out = (sst_vocab_table) {.vocab.normalizer = {1, 1, 1}, .bytes = lines, .bytes_len = len};
    if (len > 0 && memchr(lines, 0, len))
        problem = "the vocabulary contains a NUL byte";
    if (!problem)
        problem = split_lines(out);
    if (!problem)
        problem = fill_slots(out);
    if (!problem)
        problem = find_specials(out);
    if (!problem && !sst_vocab_is_sane(&out->vocab, (uint32_t) out->bytes_len, NULL))
        problem = "too many pieces of the vocabulary have the same hash";
    if (problem)
    {
        sst_vocab_table_free(out);
        return problem;
    }
    return NULL;
}

/* Does bytes[0..len) end in a character that Unicode calls white space? */
static bool
ends_in_blank(const char *bytes, size_t len)
{
    size_t      n = 1;
    utf8proc_int32_t c;

    while (n < len && n < 4 && (bytes[len - n] & 0xC0) == 0x80)
        n++;
    if (len == 0 || utf8proc_iterate((const unsigned char *) bytes + len - n, (utf8proc_ssize_t) n, &c) <= 0)
        return false;
    return (c >= 9 && c <= 13) || c == 0x85 ||
        (utf8proc_category(c) >= UTF8PROC_CATEGORY_ZS && utf8proc_category(c) <= UTF8PROC_CATEGORY_ZP);
}

/*
 * Some releases of transformers strip the blanks at a piece's end, others do not; some end a line at a carriage return. For a
 * piece of nothing else this does not matter: it is in no text.
 */
static bool
is_read_differently(const char *piece, size_t len)
{
    if (memchr(piece, '\r', len))
        return true;
    if (!ends_in_blank(piece, len))
        return false;
    while (len > 0 && ends_in_blank(piece, len))
        for (len--; len > 0 && (piece[len] & 0xC0) == 0x80; len--)
            ;
    return len > 0;
}

static const char *
check_blanks(const sst_vocab *vocab)
{
    for (uint32_t id = 0; id < vocab->size; id++)
    {
        size_t      len;
        const char *piece = sst_piece(vocab, (int32_t) id, &len);

        if (is_read_differently(piece, len))
        {
            snprintf(message, sizeof(message), "piece %u of the vocabulary has a blank at its end, or a carriage return", id);
            return message;
        }
    }
    return NULL;
}

const char *
sst_vocab_table_read(const char *path, sst_vocab_table *out)
{
    char       *lines;
    size_t      len;
    const char *problem = read_file(path, &lines, &len);

    if (problem)
    {
        free(lines);
        return problem;
    }
    problem = sst_vocab_table_make(lines, len, out);
    if (problem)
        return problem;
    problem = check_blanks(&out->vocab);
    if (problem)
        sst_vocab_table_free(out);
    return problem;
}

void
sst_vocab_table_free(sst_vocab_table *table)
{
    free(table->slots);
    free(table->offsets);
    free(table->bytes);
    memset(table, 0, sizeof(*table));
}
