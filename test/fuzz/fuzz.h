/*
 * fuzz.h - what the fuzzers share. Each of them is one file with LLVMFuzzerTestOneInput, run by test/fuzz/run.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/sst.h"

extern int  LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold for every input; where it does not, libFuzzer keeps the input and stops. */
#define MUST(condition) \
    do { \
        if (!(condition)) \
        { \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            abort(); \
        } \
    } while (0)

/* A copy of exactly size bytes, so that ASan sees whoever reads behind it. To be freed. */
static inline char *
exact_copy(const void *bytes, size_t size)
{
    char       *copy = malloc(size ? size : 1);

    if (!copy)
        abort();
    if (size)
        memcpy(copy, bytes, size);
    return copy;
}

/* Choices that an input makes for its test: its first bytes. */
typedef struct choices
{
    uint8_t     cut;            /* where texts are cut, in 256ths of them */
    uint8_t     max;            /* ids wanted at most, but 2 */
    uint8_t     repeats;        /* 255: a text of more than one block */
} choices;

/* All that is true of the tokens of any text under any vocabulary (tokenizer_properties.c). */
extern void check_text(const sst_vocab *vocab, choices chosen, const char *text, size_t len);

#endif
