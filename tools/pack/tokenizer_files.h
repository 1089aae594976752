/*
 * tokenizer_files.h - what the files of a Hugging Face folder say about its tokenizer.
 */
#ifndef TOKENIZER_FILES_H
#define TOKENIZER_FILES_H

#include "vocab_table.h"

/* What "tokenizer_class" may be, in config.json and in tokenizer_config.json: see json_rule. */
#define TOKENIZER_CLASSES "[null, \"DistilBertTokenizer\", \"DistilBertTokenizerFast\", \"BertTokenizer\", " \
    "\"BertTokenizerFast\", \"PreTrainedTokenizerFast\", \"TokenizersBackend\"]"

/* Paths of files. One of the first two must exist. */
typedef struct tokenizer_files
{
    const char *vocab_txt;
    const char *tokenizer_json;
    const char *tokenizer_config;
    const char *special_tokens_map;
    const char *added_tokens;
} tokenizer_files;

/*
 * Read the vocabulary and its normalizer. Refuses all that we may not read like transformers and tokenizers, and files that
 * contradict each other. tokenizer_class is config.json's, or NULL. Lowers *positions to the length at which texts are
 * truncated. Returns NULL, or what is wrong (json.h); then there is nothing to free.
 */
extern const char *tokenizer_files_read(const tokenizer_files *files, const char *tokenizer_class, sst_vocab_table *table,
                                        uint32_t *positions);

#endif
