/*
 * config.h - what a Hugging Face config.json says of a sequence classifier.
 */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include "architecture.h"

typedef struct model_config
{
    const architecture *architecture;
    sst_shape   shape;          /* precision keeps its value; positions: the most tokens that the model reads */
    uint32_t    position_rows;  /* of the position embeddings; the first shape.positions are packed */
    uint32_t    token_types;    /* 0: none */
    char      **labels;         /* [shape.labels] */
    char       *name_or_path;   /* "" if config.json has none */
    char       *tokenizer_class;    /* NULL if config.json has none */
} model_config;

/* Read and check config.json. Returns NULL, or what is wrong (json.h). */
extern const char *model_config_read(const char *path, model_config *config);
extern void model_config_free(model_config *config);

#endif
