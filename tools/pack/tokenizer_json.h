/*
 * tokenizer_json.h - tokenizer.json, the file of the library tokenizers.
 */
#ifndef TOKENIZER_JSON_H
#define TOKENIZER_JSON_H

#include "json.h"
#include "vocab_table.h"

/*
 * Read the vocabulary of tokenizer.json and how it reads texts. Everything but BERT's tokenizer is refused. Returns NULL, or
 * what is wrong (json.h); then there is nothing to free.
 */
extern const char *tokenizer_json_read(const char *path, sst_vocab_table *table);

/* NULL if token, a text or an object, is the special token of this text and treated as BERT's are, or what is wrong. */
extern const char *check_special_token(const char *path, const char *key, const json_t *token, const char *text);

/* The id of a special token's text, or -1 if it is none. */
extern int32_t special_token_id(const sst_vocab *vocab, const char *text);

#endif
