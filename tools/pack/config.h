/*
 * config.h - what a Hugging Face config.json says of a DistilBertForSequenceClassification.
 */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include "core/sst.h"

typedef struct model_config
{
    sst_shape   shape;          /* precision is left as it was; positions: what the model reads at most, <= position_rows */
    uint32_t    position_rows;  /* of the position embeddings, of which the first shape.positions are packed */
    char      **labels;         /* [shape.labels] */
    char       *name_or_path;   /* "" where config.json has none */
} model_config;

/*
 * Read and check config.json and, where there is one, tokenizer_config.json. Returns NULL, or what is wrong in a
 * static buffer.
 */
extern const char *model_config_read(const char *config_path, const char *tokenizer_path, model_config *config);
extern void model_config_free(model_config *config);

#endif
