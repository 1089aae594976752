/*
 * sst.h - the core of distilsst: a text's token ids, and token ids' logits.
 *
 * The core is C11 and utf8proc. It does not allocate, print, or know PostgreSQL: memory comes from the
 * caller, errors are returned as sst_status, and long work calls a tick between blocks (see sst_tick).
 *
 * Wording
 *   text         one SQL value, UTF-8 here
 *   piece, token one entry of the vocabulary, named by its id
 *   batch        texts that share one forward pass: a ragged list of token ids, no padding
 *   panel        16 output columns of a weight matrix
 *   packed file  the .dsst file, mapped read-only (layout in packed.h)
 *   fingerprint  which model it is: a sha256 in hex
 *
 * Letters used in shape comments
 *   T tokens of a batch   B texts of a batch    V vocabulary     P positions
 *   D hidden size         H heads               F hidden size of the FFN
 *   L layers              C labels              K, N inputs and outputs of a linear layer
 *
 * One answer: a text has the same logits, bit for bit, alone or in any batch and with any kernels. Every output
 * element is one chain of fma over k that starts from the bias; every sum over a row is taken in one
 * order of 16 lanes; exp and erf are our own polynomials. Compile with -ffp-contract=off. Packed files and safetensors
 * are little-endian, and so are the machines that read them.
 */
#ifndef SST_H
#define SST_H

#include <float.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

_Static_assert(FLT_EVAL_METHOD == 0, "float is computed in float: on 32-bit x86 compile with -msse2 -mfpmath=sse");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "distilsst is for little-endian machines");
#ifdef __FAST_MATH__
#error "-ffast-math changes results"
#endif

/* The largest shapes that sst_model_open accepts. They keep every product below 2^62. */
#define SST_MAX_LAYERS 64
#define SST_MAX_HIDDEN 16384    /* D and F */
#define SST_MAX_VOCAB (1 << 22)
#define SST_MAX_POSITIONS 8192
#define SST_MAX_LABELS 1024

#define SST_MAX_SELFTESTS 64
#define SST_NAME_SIZE 64        /* bytes of a model's name, with the NUL */
#define SST_FINGERPRINT_SIZE 68 /* bytes of its fingerprint, likewise */
#define SST_MAX_STRINGS (1 << 20)   /* bytes of all labels, and of all self-test texts */

/* A word of more code points is one [UNK], as in BERT. */
#define SST_MAX_WORD 100

/* The vocabulary's table: most bytes of a piece (## and a word); most slots in a row that are taken. */
#define SST_MAX_PIECE (2 + 4 * SST_MAX_WORD)
#define SST_MAX_RUN 128

/* The most that a byte of text costs, in bytes hashed and slots looked at: see sst_tokenize. */
#define SST_WORK_PER_BYTE 7000

typedef enum sst_status
{
    SST_OK,
    SST_NOT_A_MODEL,            /* not a packed file: wrong magic */
    SST_WRONG_LAYOUT,           /* packed for another version or byte order */
    SST_WRONG_SIZE,             /* truncated, or longer than it says */
    SST_DAMAGED,                /* a checksum differs */
    SST_BAD_SHAPE,              /* header or tables contradict themselves */
    SST_BAD_TOKEN,              /* a token id outside 0..V-1 */
    SST_NOT_FINITE              /* a logit is NaN or infinite */
} sst_status;

/* One clause without a full stop, for an error message. */
extern const char *sst_status_text(sst_status status);

/*
 * The core calls this between blocks of at most a few milliseconds of work, so that its caller can look for a cancel request. It
 * may longjmp: the core holds nothing. All functions accept NULL for no tick.
 */
typedef struct sst_tick
{
    void        (*call) (void *arg);
    void       *arg;
} sst_tick;

static inline void
sst_tick_call(const sst_tick *tick)
{
    if (tick)
        tick->call(tick->arg);
}

/* ---- the model ------------------------------------------------------------------------------- */

typedef enum sst_precision
{
    SST_FP32,
    SST_INT8                    /* products of linear layers and attention, word embeddings; the head and all else stay float */
} sst_precision;

extern const char *sst_precision_name(sst_precision precision);

/* What follows the first layer of the classification head. */
typedef enum sst_head
{
    SST_RELU,                   /* DistilBERT's pre_classifier */
    SST_TANH                    /* BERT's pooler */
} sst_head;

/* How the packed file keeps a row of word embeddings. */
typedef enum sst_words
{
    SST_WORDS_F32,
    SST_WORDS_F16,              /* if that loses nothing */
    SST_WORDS_BF16,             /* likewise */
    SST_WORDS_S8                /* a float, the scale, and int8: value = scale * int8 */
} sst_words;

typedef struct sst_shape
{
    uint32_t    layers;         /* L */
    uint32_t    hidden;         /* D */
    uint32_t    heads;          /* H; D is a multiple of H */
    uint32_t    ffn;            /* F */
    uint32_t    vocab;          /* V */
    uint32_t    positions;      /* P: the most tokens that the model reads, at least 2 */
    uint32_t    labels;         /* C, at least 2 */
    uint32_t    precision;      /* sst_precision */
    uint32_t    words;          /* sst_words */
    uint32_t    head;           /* sst_head */
} sst_shape;

/* What the tokenizer does to a text before it looks for words: 0 or 1 each. All three are 1 in an uncased BERT. */
typedef struct sst_normalizer
{
    uint32_t    lowercase;
    uint32_t    strip_accents;
    uint32_t    split_chinese;  /* each Chinese character is a word: handle_chinese_chars */
} sst_normalizer;

typedef struct sst_vocab_slot
{
    uint32_t    hash;           /* sst_vocab_hash of the whole piece, ## included */
    uint32_t    id_plus_1;      /* 0: empty */
} sst_vocab_slot;

/* The vocabulary: an open-addressing hash table with linear probing over the pieces' bytes; and what is done to texts first. */
typedef struct sst_vocab
{
    const sst_vocab_slot *slots;    /* [slot_mask + 1]; at most SST_MAX_RUN in a row are taken */
    const uint32_t *offsets;    /* [V + 1]: piece id is bytes[offsets[id] .. offsets[id + 1]) */
    const char *bytes;
    uint32_t    slot_mask;
    uint32_t    size;           /* V */
    uint32_t    bytes_size;     /* of bytes; no reader goes beyond, even if slots and offsets have changed */
    uint32_t    longest;        /* bytes of the longest piece */
    int32_t     pad, unk, cls, sep, mask;   /* ids of the special tokens */
    sst_normalizer normalizer;
} sst_vocab;

/* FNV-1a, 32 bits. Start with SST_VOCAB_HASH; feed bytes one by one. */
#define SST_VOCAB_HASH 2166136261u
static inline uint32_t
sst_vocab_hash(uint32_t hash, unsigned char byte)
{
    return (hash ^ byte) * 16777619u;
}

/*
 * y = x W^T + b, in ceil(N/16) panels; columns beyond N are 0. fp32: [1+K][16] floats, the bias first. int8: bias, scales and
 * sums of the 16 columns, then [ceil(K/4)][16][4] int8 (kernels.h). The same on every CPU.
 */
typedef struct sst_linear
{
    sst_precision precision;
    uint32_t    in;             /* K */
    uint32_t    out;            /* N */
    const void *panels;
} sst_linear;

typedef struct sst_norm
{
    const float *weight;        /* [D] */
    const float *bias;          /* [D] */
} sst_norm;

typedef struct sst_layer
{
    sst_linear  q, k, v, out;   /* D -> D; q carries the attention's factor 1/sqrt(D/H) */
    sst_linear  lin1, lin2;     /* D -> F, F -> D */
    sst_norm    sa_norm;        /* after attention */
    sst_norm    out_norm;       /* after the FFN */
} sst_layer;

/* A text that is packed with the model, and the logits that the plain C kernels give for it. */
typedef struct sst_selftest
{
    const char *text;           /* NUL-terminated UTF-8 */
    const float *logits;        /* [C] */
} sst_selftest;

/*
 * Views into a packed file; valid as long as the data of sst_model_open stay where they are. What is not a pointer is a copy, and
 * does not change with the file.
 */
typedef struct sst_model
{
    sst_shape   shape;
    char        name[SST_NAME_SIZE];    /* the packer's name for it */
    char        fingerprint[SST_FINGERPRINT_SIZE];  /* 64 hex digits */
    sst_vocab   vocab;
    const uint32_t *label_offsets;  /* [C + 1] */
    const char *label_bytes;
    uint32_t    label_size;     /* of label_bytes */
    uint32_t    selftests;
    const uint32_t *selftest_offsets;   /* [selftests + 1] */
    const char *selftest_bytes;
    uint32_t    selftest_size;  /* of selftest_bytes */
    const float *selftest_logits;   /* [selftests][C] */
    const unsigned char *word;  /* [V] rows of sst_word_bytes */
    const uint64_t *word_hashes;    /* [V]: sst_hash64 of each row */
    const float *position;      /* [P][D] */
    sst_norm    embedding_norm;
    sst_layer   layer[SST_MAX_LAYERS];
    sst_linear  pre_classifier; /* D -> D, then shape.head */
    sst_linear  classifier;     /* D -> C */
    const unsigned char *file;
    uint64_t    file_size;
    uint64_t    weights_at;     /* sst_model_verify checks file[weights_at .. file_size) */
    uint64_t    weights_hash;
} sst_model;

/*
 * Open the packed file in data[0..size), which must be aligned to 64 bytes. Checks the header and all tables (shapes,
 * sizes, offsets, checksum, the vocabulary's slots), so that no later call leaves the file or probes without end, whatever
 * its bytes. Returns SST_OK, or why not; then *model is undefined.
 *
 * Cost: linear in the tables' size, since every byte is hashed and every piece is looked up in at most SST_MAX_RUN + 1 slots. A
 * damaged header, or one that asks for tables beyond the limits above, is refused before the tables are read. A tick comes at
 * least every MB hashed, every 65536 slots and every 32 pieces.
 */
extern sst_status sst_model_open(sst_model *model, const void *data, size_t size, const sst_tick *tick);

/*
 * Check the weights' checksum: of all weights but the word embeddings, whose rows sst_forward checks as it reads them. Call it
 * once before the first sst_forward. SST_OK or SST_DAMAGED.
 */
extern sst_status sst_model_verify(const sst_model *model, const sst_tick *tick);

/* Does the word embedding of id, 0 <= id < V, match its checksum? sst_forward checks every row that it reads. */
extern bool sst_word_is_intact(const sst_model *model, uint32_t id);

/* The name of a label, 0 <= label < C. NUL-terminated UTF-8. */
extern const char *sst_model_label(const sst_model *model, uint32_t label);

/* The self-test vector i, 0 <= i < model->selftests. */
extern sst_selftest sst_model_selftest(const sst_model *model, uint32_t i);

/* The checksum of packed files: 64 bits over size bytes, a multiple of 4, from a 4-aligned address. */
extern uint64_t sst_hash64(const void *data, size_t size);

/* ---- the tokenizer --------------------------------------------------------------------------- */

/*
 * The token ids of text[0..len), UTF-8, as the model reads them: [CLS], the first max - 2 pieces, [SEP]. Any bytes
 * are allowed; those that are not UTF-8 count as U+FFFD. ids has room for max >= 2 ids. *truncated says whether there are more
 * pieces. Returns the number of ids, at least 2; stops reading once the answer is known.
 *
 * If partial, text is only the beginning of the whole, and this returns 0 when the beginning cannot decide.
 *
 * Cost: linear in len, whatever the text and the vocabulary. A byte of text gives at most one character of a word; a character
 * begins at most SST_MAX_WORD look-ups, half of that on average; a look-up looks at no more than SST_MAX_RUN + 1 slots. With the
 * hashing this makes SST_WORK_PER_BYTE. A tick comes every 4096 to 17400 units of this work.
 */
extern size_t sst_tokenize(const sst_vocab *vocab, const char *text, size_t len, bool partial,
                           int32_t *ids, size_t max, bool *truncated, const sst_tick *tick);

/* Bytes from..to - 1 of a text. */
typedef struct sst_span
{
    size_t      from,
                to;
} sst_span;

/*
 * The same, and spans[i] becomes the word that ids[i] is a piece of: from its first to its last character that is kept, with the
 * marks on that. Words end where BERT splits: at spaces, and around punctuation, CJK characters and special tokens. A [CLS] or
 * [SEP] that is not in the text has an empty span. spans has room for max, or is NULL.
 */
extern size_t sst_tokenize_spans(const sst_vocab *vocab, const char *text, size_t len, bool partial,
                                 int32_t *ids, sst_span *spans, size_t max, bool *truncated, const sst_tick *tick);

/* The unfinished word at a slice's end; zeros at the text's beginning. */
typedef struct sst_word
{
    size_t      chars;
    size_t      bytes;
    unsigned char text[SST_MAX_PIECE];
} sst_word;

/*
 * A text of any length, slice by slice: the *count ids of the words that end in this slice, without [CLS] and [SEP]. ids has
 * room for len + SST_MAX_WORD. last: the text ends with this slice. Returns how many bytes it has read, all but some five; the
 * next slice must begin with the rest.
 */
extern size_t sst_tokenize_slice(const sst_vocab *vocab, sst_word *word, const char *slice, size_t len, bool last,
                                 int32_t *ids, size_t *count, const sst_tick *tick);

/* The number of ids of text[0..len) without truncation, [CLS] and [SEP] included. */
extern uint64_t sst_token_count(const sst_vocab *vocab, const char *text, size_t len, const sst_tick *tick);

/* The bytes of a piece, 0 <= id < V; not NUL-terminated, *len bytes. */
extern const char *sst_piece(const sst_vocab *vocab, int32_t id, size_t *len);

/* ---- the forward pass ------------------------------------------------------------------------ */

typedef struct sst_kernels sst_kernels; /* kernels.h */

typedef enum sst_isa
{
    SST_ISA_C,
    SST_ISA_AVX2,               /* x86-64: AVX2 and FMA */
    SST_ISA_AVXVNNI,            /* and AVX-VNNI */
    SST_ISA_AVX512,             /* AVX-512F */
    SST_ISA_AVX512VNNI,
    SST_ISA_AMXINT8,            /* and AMX, where Linux permits it */
    SST_ISA_NEON,               /* 64-bit ARM */
    SST_ISA_NEONDOT,            /* with the dot products of ARMv8.2 */
    SST_ISA_NEONI8MM,           /* with the matrix products of ARMv8.6 */
    SST_ISA_BEST                /* the best that this CPU has */
} sst_isa;

/*
 * This CPU's best kernels up to limit; plain C if limit is of another architecture. Never NULL. All give the same bits.
 */
extern const sst_kernels *sst_kernels_get(sst_isa limit);

/* "c", "avx2", "avxvnni", "avx512", "avx512vnni", "amxint8", "neon", "neondot" or "neoni8mm" */
extern const char *sst_kernels_name(const sst_kernels *kernels);

/* Bytes of workspace that sst_forward needs, for any batch. */
extern size_t sst_workspace_size(const sst_model *model);

/*
 * Logits [B][C] of a batch: text b has the token ids ids[start[b] .. start[b + 1]), 1 to P of them, exactly as given.
 * workspace: sst_workspace_size(model) bytes, aligned to 64; need not be cleared. SST_OK, SST_BAD_TOKEN,
 * SST_DAMAGED (a word embedding differs from its checksum) or SST_NOT_FINITE.
 */
extern sst_status sst_forward(const sst_model *model, const sst_kernels *kernels, const int32_t *ids,
                              const size_t *start, size_t texts, float *logits, void *workspace,
                              const sst_tick *tick);

/* Softmax: probabilities [count] of logits [count], which may be the same array. */
extern void sst_softmax(const float *logits, uint32_t count, float *probabilities);

#endif
