/*
 * tokenizer_json.h - tokenizer.json, the file of the library tokenizers.
 */
#ifndef TOKENIZER_JSON_H
#define TOKENIZER_JSON_H

#include "json.h"
#include "vocab_table.h"

/*
 * Read the vocabulary of tokenizer.json and its normalizer. Refuses everything but BERT's tokenizer. Returns NULL, or what is
 * wrong (json.h); then there is nothing to free.
 */
extern const char *tokenizer_json_read(const char *path, sst_vocab_table *table);

/* NULL if token, a string or an object, is the special token of this text and treated like BERT's, or what is wrong. */
extern const char *check_special_token(const char *path, const char *key, const json_t *token, const char *text);

/* The id of the special token with this text, or -1 if there is none. */
extern int32_t special_token_id(const sst_vocab *vocab, const char *text);

#endif
