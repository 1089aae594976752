/*
 * packed.h - the packed file: what tools/pack/main.c writes and sst_model_open reads.
 *
 *   header            sst_packed_header, ending in its own checksum
 *   tables            labels, vocabulary, self-test vectors, checksums of the word embeddings' rows
 *   word embeddings   [V] rows of sst_word_bytes
 *   weights           position embeddings [P][D], norm, layers, head
 *
 * Little-endian. Every part begins at a multiple of 64 bytes; the bytes between are 0. Nothing in it depends on the CPU.
 * Checksums cover all bytes but the padding before the weights: sst_model_open checks header and tables, sst_model_verify the
 * weights, and sst_forward each row of word embeddings that it reads.
 */
#ifndef SST_PACKED_H
#define SST_PACKED_H

#include "kernels/kernels.h"

#define SST_PACKED_MAGIC "distlsst"
#define SST_PACKED_LAYOUT 3

/* Version of the arithmetic: raise it whenever any logit of any model may change by a bit. */
#define SST_ARITHMETIC 3

/* A model's full name is BASE-XXXXXXXX: after the dash come the first hex digits of its fingerprint. */
#define SST_NAME_DIGITS 8

#define SST_PACKED_BYTE_ORDER 0x01020304u

typedef struct sst_packed_header
{
    char        magic[8];
    uint32_t    layout;         /* SST_PACKED_LAYOUT */
    uint32_t    byte_order;     /* SST_PACKED_BYTE_ORDER as its writer stores it */
    uint64_t    file_size;
    sst_shape   shape;
    sst_normalizer normalizer;
    int32_t     pad, unk, cls, sep, mask;   /* ids of the special tokens */
    uint32_t    label_bytes;    /* sizes of tables, so far as the shape does not give them */
    uint32_t    vocab_slots;
    uint32_t    vocab_bytes;
    uint32_t    vocab_longest;
    uint32_t    selftests;
    uint32_t    selftest_bytes;
    uint32_t    arithmetic;     /* SST_ARITHMETIC */
    char        name[SST_NAME_SIZE];    /* the full name, NUL-terminated */
    char        fingerprint[SST_FINGERPRINT_SIZE];  /* 64 lower-case hex digits, NUL-terminated */
    uint64_t    tables_hash;
    uint64_t    weights_hash;   /* sst_weights_hash */
    uint64_t    header_hash;    /* sst_hash64 of all that precedes it */
} sst_packed_header;

_Static_assert(sizeof(sst_packed_header) == 280, "the header has no hole");

/* Can name[0..len) be the base of a model's name: [A-Za-z0-9][A-Za-z0-9._-]*, and not too long? */
extern bool sst_name_is_valid(const char *name, size_t len);

/*
 * Point *model at the parts of a packed file. Reads only the header's sizes, which must be within the limits of sst.h. header is
 * the file's own or a copy, and is not kept. Returns the file's size. The writer uses this on its own buffer to find where the
 * parts go.
 */
extern uint64_t sst_packed_view(sst_model *model, const void *file, const sst_packed_header *header);

/* The first byte behind the tables, counted from the file's start. */
extern uint64_t sst_packed_tables_end(const sst_model *model);

/* Bytes of a row of word embeddings, a multiple of 4. Those behind its values are 0. */
extern size_t sst_word_bytes(const sst_shape *shape);

/* The word embedding of id, 0 <= id < V: x [D]. */
extern void sst_word_read(const sst_model *model, uint32_t id, float *x);

/* The checksum of that row. */
extern uint64_t sst_word_hash(const sst_model *model, uint32_t id);

/* The checksum of the weights (see sst_model_verify). */
extern uint64_t sst_weights_hash(const sst_model *model, const sst_tick *tick);

#endif
