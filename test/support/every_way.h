/*
 * every_way.h - a text's ids, asked of the tokenizer in every way: counted, truncated, with spans, in slices, and with only the
 * beginning of the text at hand. For programs that check many texts and report them in groups.
 */
#ifndef EVERY_WAY_H
#define EVERY_WAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/sst.h"
#include "vocab_table.h"

#define POSITIONS 512

/* Ids of a text; none if its beginning does not decide. */
typedef struct tokens
{
    int32_t    *ids;
    size_t      n;
    bool        truncated;
} tokens;

/* What all functions below tokenize by. */
extern const sst_vocab *vocab;

/* Memory, or the program ends. */
extern void *allocate(size_t size);

/* The table of a vocab.txt, or the program ends. */
extern sst_vocab_table read_vocabulary(const char *path);

/* Up to max ids of text[0..len), which the caller frees. */
extern tokens tokenize(const char *text, size_t len, bool partial, size_t max);

/* Each of these prints what is wrong with the first few rows of a group that fail. */
extern bool check_tokens(const char *what, const char *text, size_t len, bool partial, size_t max, tokens want);
extern bool check_count(const char *text, size_t len, uint64_t want);

/* all: every id of the text, untruncated. */
extern bool check_text(const char *text, size_t len, tokens all);

/* Counts a row of the current group. */
extern void finish_row(bool right);

/* Ends the group: prints a test of this name in TAP. */
extern void report(const char *name);

/* Prints the plan; returns the program's exit status. */
extern int  end_tests(void);

#endif
