/*
 * architecture.h - the two networks that are packed, and what transformers calls their parts.
 *
 * BERT's encoder is DistilBERT's, with token types added to the embeddings; a text has type 0 throughout.
 */
#ifndef ARCHITECTURE_H
#define ARCHITECTURE_H

#include "core/sst.h"
#include "json.h"

typedef struct architecture
{
    const char *model_type;     /* in config.json, as all up to rules */
    const char *n_layers;
    const char *dim;
    const char *n_heads;
    const char *hidden_dim;
    const char *token_types;    /* NULL where there are none */
    const json_rule *rules;     /* of keys that the other one has not */
    size_t      rule_count;
    sst_head    head;
    const char *embeddings;     /* tensors: a module's weight is called NAME.weight, its bias NAME.bias */
    const char *layers;         /* before a dot, a layer's number, a dot, and the names up to out_norm */
    const char *q;
    const char *k;
    const char *v;
    const char *out;
    const char *sa_norm;
    const char *lin1;
    const char *lin2;
    const char *out_norm;
    const char *pre_classifier;
} architecture;

/* That of the config.json in config, or NULL and what is wrong. */
extern const architecture *architecture_find(const char *path, const json_t *config, const char **wrong);

/* NULL where config.json has nothing that is not known, or what it is. */
extern const char *architecture_check(const architecture *a, const char *path, const json_t *config);

#endif
