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
    const char *model_type;     /* a key of config.json, like all up to rules */
    const char *n_layers;
    const char *dim;
    const char *n_heads;
    const char *hidden_dim;
    const char *token_types;    /* NULL if it has none */
    const json_rule *rules;     /* of keys that the other one lacks */
    size_t      rule_count;
    sst_head    head;
    const char *embeddings;     /* module names: a module's tensors are NAME.weight and NAME.bias */
    const char *layers;         /* LAYERS.n.NAME for the names up to out_norm */
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

/* The architecture that config.json asks for, or NULL and *wrong. */
extern const architecture *architecture_find(const char *path, const json_t *config, const char **wrong);

/* NULL if we know all keys and values of config.json, or what is wrong (json.h). */
extern const char *architecture_check(const architecture *a, const char *path, const json_t *config);

#endif
