/*
 * tokenizer.c - BERT's tokenizer, cased and uncased, with exactly the ids of Hugging Face tokenizers.
 *
 * One pass over the bytes normalises each character by itself and adds it to the current word, which ends at a space, before
 * and after punctuation or a CJK character, and at a special token. We keep nothing of the text but that word. Characters
 * can be treated one by one: canonical ordering would only move marks that are removed or in no vocabulary (the packer refuses a
 * vocabulary where it matters), and lower case has no context.
 *
 * Unicode data come from utf8proc, except where unicode_differences.h knows better.
 */
#include <string.h>
#include <utf8proc.h>

#include "unicode_differences.h"
#include "vocab.h"

#if UTF8PROC_VERSION_MAJOR < 2
#error "utf8proc 2.0 or later is needed: 1.3 reads beyond the end of a text that is cut off in a character"
#endif

#define WORK 4096               /* least work between two ticks: bytes read or hashed, slots looked at */
#define CANONICAL_MAX 4         /* code points of the longest canonical decomposition */
#define SPECIAL_MAX 6           /* bytes of the longest special token */
#define PREFIX 2                /* bytes of ## */
#define WORD_ROOM SST_MAX_PIECE
#define ASCII_FOLD 0x20
#define DOTTED_I 0x130          /* capital I with a dot: lower case is i and ... */
#define DOT_ABOVE 0x307

typedef struct scan
{
    const sst_vocab *vocab;
    const sst_tick *tick;
    size_t      work;           /* since the last tick */
    const unsigned char *at;    /* the next byte to read */
    const unsigned char *end;
    const unsigned char *stop;  /* read no character that begins here or behind */
    bool        partial;        /* there is more text after end */
    bool        stuck;          /* what is left may begin a special token */
    const unsigned char *text;  /* spans count from here */
    sst_span   *spans;          /* [limit]: the words of ids, or NULL */
    sst_span    span;           /* of the current word */
    size_t      from;           /* where the current character begins */
    unsigned char fold;         /* OR makes an ASCII letter lower case and leaves a digit; 0 if case is kept */
    int32_t    *ids;            /* [limit], or NULL to count only */
    uint64_t    limit;          /* pieces wanted */
    uint64_t    count;          /* pieces found, even beyond limit */
    size_t      chars;          /* of the current word; beyond SST_MAX_WORD we only count them */
    size_t      bytes;
    unsigned char word[WORD_ROOM];  /* from [PREFIX] on, normalised */
} scan;

/* What a byte is. Digits are letters here; '[' is a kind of its own since a special token may begin there. */
enum
{
    WIDE, GONE, SPACE, PUNCT, BRACKET, LETTER
};

static const unsigned char ascii[256] = {
    GONE, GONE, GONE, GONE, GONE, GONE, GONE, GONE, GONE, SPACE, SPACE, GONE, GONE, SPACE, GONE, GONE,
    GONE, GONE, GONE, GONE, GONE, GONE, GONE, GONE, GONE, GONE, GONE, GONE, GONE, GONE, GONE, GONE,
    SPACE, PUNCT, PUNCT, PUNCT, PUNCT, PUNCT, PUNCT, PUNCT, PUNCT, PUNCT, PUNCT, PUNCT, PUNCT, PUNCT, PUNCT, PUNCT,
    LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, PUNCT, PUNCT, PUNCT, PUNCT, PUNCT, PUNCT,
    PUNCT, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER,
    LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, BRACKET, PUNCT, PUNCT, PUNCT, PUNCT,
    PUNCT, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER,
    LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, LETTER, PUNCT, PUNCT, PUNCT, PUNCT, GONE
};                              /* WIDE from 128 on */

static inline void
count_work(scan *s, size_t work)
{
    s->work += work;
    if (s->work >= WORK)
    {
        s->work = 0;
        sst_tick_call(s->tick);
    }
}

/* ---- words to pieces ------------------------------------------------------------------------- */

static void
put_piece(scan *s, int32_t id)
{
    if (s->ids && s->count < s->limit)
    {
        s->ids[s->count] = id;
        if (s->spans)
            s->spans[s->count] = s->span;
    }
    s->count++;
}

/* The longest piece at the beginning of bytes[0..len), longer than least, or -1. *taken is its length. */
static int32_t
find_longest_piece(scan *s, const unsigned char *bytes, size_t len, size_t least, size_t *taken)
{
    const sst_vocab *vocab = s->vocab;
    uint32_t    hashes[WORD_ROOM + 1];  /* [i]: of i bytes */
    size_t      n = len < vocab->longest ? len : vocab->longest;
    size_t      work = n;
    int32_t     id = -1;

    hashes[0] = SST_VOCAB_HASH;
    for (size_t i = 0; i < n; i++)
        hashes[i + 1] = sst_vocab_hash(hashes[i], bytes[i]);

    for (; n > least; n--)
    {
        uint32_t    at;

        if (n < len && (bytes[n] & 0xC0) == 0x80)
            continue;           /* inside a character */
        at = sst_vocab_probe(vocab, hashes[n], bytes, n);
        work += ((at - hashes[n]) & vocab->slot_mask) + 1;
        id = (int32_t) vocab->slots[at].id_plus_1 - 1;
        if (id >= 0)
            break;
    }
    *taken = n;
    count_work(s, work);
    return id;
}

/*
 * Puts the pieces of the current word; false if one is missing. Writes the ## of each further piece over what comes before it,
 * so that the bytes to look up are contiguous.
 */
static bool
put_pieces(scan *s)
{
    unsigned char *at = s->word + PREFIX;
    unsigned char *end = at + s->bytes;

    for (size_t least = 0; at + least < end; least = PREFIX)
    {
        size_t      taken;
        int32_t     id = find_longest_piece(s, at, (size_t) (end - at), least, &taken);

        if (id < 0)
            return false;
        put_piece(s, id);
        at = at + taken - PREFIX;
        at[0] = at[1] = '#';
    }
    return true;
}

/* Puts the pieces of the current word, if there is one, or one [UNK]. */
static void
end_word(scan *s)
{
    uint64_t    start = s->count;

    if (s->chars == 0)
        return;
    if (s->chars > SST_MAX_WORD || !put_pieces(s))
    {
        s->count = start;
        put_piece(s, s->vocab->unk);
    }
    s->chars = s->bytes = 0;
}

/* ---- characters to words --------------------------------------------------------------------- */

/* A code point according to BERT's rules. */
typedef struct traits
{
    char_kind   kind;
    bool        whole;          /* no decomposition */
    int32_t     lower;
} traits;

static const char_kind category_kinds[] = {
    [UTF8PROC_CATEGORY_CC] = CHAR_REMOVED, [UTF8PROC_CATEGORY_CF] = CHAR_REMOVED,
    [UTF8PROC_CATEGORY_ZS] = CHAR_SPACE, [UTF8PROC_CATEGORY_ZL] = CHAR_SPACE, [UTF8PROC_CATEGORY_ZP] = CHAR_SPACE,
    [UTF8PROC_CATEGORY_MN] = CHAR_MARK,
    [UTF8PROC_CATEGORY_PC] = CHAR_PUNCT, [UTF8PROC_CATEGORY_PD] = CHAR_PUNCT, [UTF8PROC_CATEGORY_PS] = CHAR_PUNCT,
    [UTF8PROC_CATEGORY_PE] = CHAR_PUNCT, [UTF8PROC_CATEGORY_PI] = CHAR_PUNCT, [UTF8PROC_CATEGORY_PF] = CHAR_PUNCT,
    [UTF8PROC_CATEGORY_PO] = CHAR_PUNCT, [UTF8PROC_CATEGORY_CO] = CHAR_REMOVED
};

/* The entry of c, or NULL. The last entry ends at U+10FFFF, so the search always ends at one. */
static const unicode_difference *
find_difference(int32_t c)
{
    const unicode_difference *from = unicode_differences;
    const unicode_difference *to = from + sizeof(unicode_differences) / sizeof(unicode_differences[0]) - 1;

    while (from < to)
    {
        const unicode_difference *middle = from + (to - from) / 2;

        if (c > middle->last)
            from = middle + 1;
        else
            to = middle;
    }
    return c >= from->first ? from : NULL;
}

static traits
char_traits(int32_t c)
{
    const unicode_difference *known;

    if (c < 128)                /* punctuation, or a letter from a decomposition */
        return ascii[c] == LETTER ? (traits) {CHAR_KEPT, true, c | ASCII_FOLD} : (traits) {CHAR_PUNCT, true, c};
    if (c == 0xFFFD)
        return (traits) {CHAR_REMOVED, true, c};
    known = find_difference(c);
    if (known)
        return (traits) {known->kind, true, c + known->lower};
    return (traits) {category_kinds[utf8proc_category(c)], false, utf8proc_tolower(c)};
}

/* The ideographs that BERT surrounds with spaces. 2B820..2B91F are not among them: the original has a typo. */
static bool
is_cjk(int32_t c)
{
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0xF900 && c <= 0xFAFF)
        || (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F)
        || (c >= 0x2B920 && c <= 0x2CEAF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

/* The character just read belongs to the current word, if only as a mark. */
static inline void
extend_span(scan *s)
{
    if (s->chars == 0)
        s->span.from = s->from;
    s->span.to = (size_t) (s->at - s->text);
}

static void
put_char(scan *s, int32_t c)
{
    if (s->chars < SST_MAX_WORD)
        s->bytes += (size_t) utf8proc_encode_char(c, s->word + PREFIX + s->bytes);
    s->chars++;
}

/* A character after decomposition. */
static void
add_char(scan *s, int32_t c, traits t)
{
    const sst_normalizer *normalizer = &s->vocab->normalizer;

    if (t.kind == CHAR_PUNCT)
        end_word(s);
    extend_span(s);
    if (t.kind == CHAR_MARK && normalizer->strip_accents)
        return;
    put_char(s, normalizer->lowercase ? t.lower : c);
    if (c == DOTTED_I && normalizer->lowercase)
        put_char(s, DOT_ABOVE); /* the only character whose lower case is two */
    if (t.kind == CHAR_PUNCT)
        end_word(s);
}

static void
add_decomposed(scan *s, int32_t c, traits t)
{
    utf8proc_int32_t parts[CANONICAL_MAX] = {c};
    utf8proc_ssize_t n = 1;

    if (!t.whole && s->vocab->normalizer.strip_accents)
        n = utf8proc_decompose_char(c, parts, CANONICAL_MAX, UTF8PROC_DECOMPOSE, NULL);
    for (utf8proc_ssize_t i = 0; i < n && i < CANONICAL_MAX; i++)
        add_char(s, parts[i], parts[i] == c ? t : char_traits(parts[i]));
}

/* ---- text to characters ---------------------------------------------------------------------- */

/* Reads one character beyond ASCII, or removes one byte that is not UTF-8, or is cut off: it counts as U+FFFD. */
static void
read_wide(scan *s)
{
    utf8proc_int32_t c;
    utf8proc_ssize_t n = utf8proc_iterate(s->at, s->end - s->at, &c);
    traits      t;
    bool        apart;

    s->at += n > 0 ? n : 1;
    if (n < 0)
        return;
    t = char_traits(c);
    if (t.kind == CHAR_REMOVED)
        return;
    apart = t.kind == CHAR_SPACE || (s->vocab->normalizer.split_chinese && is_cjk(c));
    if (apart)
        end_word(s);
    if (t.kind != CHAR_SPACE)
        add_decomposed(s, c, t);
    if (apart)
        end_word(s);
}

/* Reads a run of ASCII letters and digits up to stop. */
static void
read_letters(scan *s, const unsigned char *stop)
{
    const unsigned char *at = s->at;
    const unsigned char fold = s->fold;
    size_t      chars = s->chars,
                bytes = s->bytes;

    if (chars == 0)
        s->span.from = s->from;
    for (; at < stop && ascii[*at] == LETTER; at++)
        if (chars++ < SST_MAX_WORD)
            s->word[PREFIX + bytes++] = *at | fold;
    s->at = at;
    s->chars = chars;
    s->bytes = bytes;
    s->span.to = (size_t) (at - s->text);
}

static void
read_punctuation(scan *s)
{
    end_word(s);
    s->word[PREFIX] = *s->at++;
    s->bytes = 1;
    extend_span(s);
    s->chars = 1;
    end_word(s);
}

/* Special tokens count in the raw text, before any other rule, and even inside words. */
static void
read_bracket(scan *s)
{
    const struct
    {
        const char *text;
        int32_t     id;
    }           special[] = {
        {"[PAD]", s->vocab->pad}, {"[UNK]", s->vocab->unk}, {"[CLS]", s->vocab->cls}, {"[SEP]", s->vocab->sep},
        {"[MASK]", s->vocab->mask}
    };

    for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
    {
        size_t      len = strlen(special[i].text);

        if ((size_t) (s->end - s->at) < len || memcmp(s->at, special[i].text, len) != 0)
            continue;
        end_word(s);
        s->at += len;
        extend_span(s);
        put_piece(s, special[i].id);
        return;
    }
    s->stuck = s->partial && s->end - s->at < SPECIAL_MAX;
    if (!s->stuck)
        read_punctuation(s);
}

/* Are there more pieces than wanted? A word that has begun gives at least one. */
static inline bool
is_over(const scan *s)
{
    return s->count > s->limit || (s->count == s->limit && s->chars > 0);
}

/* Reads up to stop, and the rest of a character or special token that extends beyond it. */
static void
read_block(scan *s, const unsigned char *stop)
{
    while (s->at < stop && !s->stuck && !is_over(s))
    {
        s->from = (size_t) (s->at - s->text);
        switch (ascii[*s->at])
        {
            case GONE:
                s->at++;
                break;
            case SPACE:
                end_word(s);
                s->at++;
                break;
            case PUNCT:
                read_punctuation(s);
                break;
            case BRACKET:
                read_bracket(s);
                break;
            case WIDE:
                read_wide(s);
                break;
            default:
                read_letters(s, stop);
        }
    }
}

static void
read_text(scan *s)
{
    while (s->at < s->stop && !s->stuck && !is_over(s))
    {
        const unsigned char *from = s->at;

        read_block(s, s->stop - s->at < WORK ? s->stop : s->at + WORK);
        count_work(s, (size_t) (s->at - from));
    }
    if (!s->partial && !is_over(s))
        end_word(s);
}

/* ---- the interface --------------------------------------------------------------------------- */

/* A scan of all of text[0..len). */
static scan
scan_of(const sst_vocab *vocab, const char *text, size_t len, bool partial, const sst_tick *tick)
{
    const unsigned char *bytes = (const unsigned char *) text;

    return (scan) {.vocab = vocab, .tick = tick, .text = bytes, .at = bytes, .end = bytes + len, .stop = bytes + len,
        .partial = partial, .limit = UINT64_MAX, .fold = vocab->normalizer.lowercase ? ASCII_FOLD : 0};
}

size_t
sst_tokenize_spans(const sst_vocab *vocab, const char *text, size_t len, bool partial,
                   int32_t *ids, sst_span *spans, size_t max, bool *truncated, const sst_tick *tick)
{
    scan        s = scan_of(vocab, text, len, partial, tick);
    size_t      n;

    s.ids = ids + 1;
    s.spans = spans ? spans + 1 : NULL;
    s.limit = max - 2;
    read_text(&s);
    *truncated = is_over(&s);
    if (partial && !*truncated)
        return 0;

    n = s.count < s.limit ? (size_t) s.count : max - 2;
    ids[0] = vocab->cls;
    ids[n + 1] = vocab->sep;
    if (spans)
        spans[0] = spans[n + 1] = (sst_span) {0, 0};
    return n + 2;
}

size_t
sst_tokenize(const sst_vocab *vocab, const char *text, size_t len, bool partial,
             int32_t *ids, size_t max, bool *truncated, const sst_tick *tick)
{
    return sst_tokenize_spans(vocab, text, len, partial, ids, NULL, max, truncated, tick);
}

uint64_t
sst_token_count(const sst_vocab *vocab, const char *text, size_t len, const sst_tick *tick)
{
    scan        s = scan_of(vocab, text, len, false, tick);

    read_text(&s);
    return s.count + 2;
}

/* What begins before a slice's last SPECIAL_MAX - 1 bytes, a character or a special token, ends within the slice. */
size_t
sst_tokenize_slice(const sst_vocab *vocab, sst_word *word, const char *slice, size_t len, bool last,
                   int32_t *ids, size_t *count, const sst_tick *tick)
{
    scan        s = scan_of(vocab, slice, len, !last, tick);

    if (!last)
        s.stop -= len < SPECIAL_MAX ? len : SPECIAL_MAX - 1;
    s.ids = ids;
    s.chars = word->chars;
    s.bytes = word->bytes;
    memcpy(s.word, word->text, sizeof(s.word));
    read_text(&s);
    word->chars = s.chars;
    word->bytes = s.bytes;
    memcpy(word->text, s.word, sizeof(s.word));
    *count = (size_t) s.count;
    return (size_t) (s.at - (const unsigned char *) slice);
}

bool
sst_is_mark(int32_t c)
{
    return char_traits(c).kind == CHAR_MARK;
}

const char *
sst_piece(const sst_vocab *vocab, int32_t id, size_t *len)
{
    return sst_vocab_piece(vocab, (uint32_t) id, len);
}
