/*
 * tokenizer_files.h - what the files of a Hugging Face folder say of its tokenizer.
 */
#ifndef TOKENIZER_FILES_H
#define TOKENIZER_FILES_H

#include "vocab_table.h"

/* What "tokenizer_class" may be, in config.json and in tokenizer_config.json: see json_rule. */
#define TOKENIZER_CLASSES "[null, \"DistilBertTokenizer\", \"DistilBertTokenizerFast\", \"BertTokenizer\", " \
    "\"BertTokenizerFast\", \"PreTrainedTokenizerFast\", \"TokenizersBackend\"]"

/* Paths, at which there need not be a file; but one of the first two must be there. */
typedef struct tokenizer_files
{
    const char *vocab_txt;
    const char *tokenizer_json;
    const char *tokenizer_config;
    const char *special_tokens_map;
    const char *added_tokens;
} tokenizer_files;

/*
 * Read the vocabulary and how texts are read by it. Refused is what is not known to be read as transformers and tokenizers read
 * it, and files that say different things. tokenizer_class is what config.json says, NULL where it says nothing;
 * *positions becomes the length at which texts are truncated, where that is less. Returns NULL, or what is wrong (json.h); then
 * there is nothing to free.
 */
extern const char *tokenizer_files_read(const tokenizer_files *files, const char *tokenizer_class, sst_vocab_table *table,
                                        uint32_t *positions);

#endif
