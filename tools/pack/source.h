/*
 * source.h - the Hugging Face folder that we pack. All functions end the program if something is wrong.
 */
#ifndef SOURCE_H
#define SOURCE_H

#include "config.h"
#include "vocab_table.h"
#include "weights.h"

typedef struct source
{
    const char *dir;
    model_config config;
    sst_vocab_table table;
    weights     weights;
    char        fingerprint[65];    /* 64 hex digits */
} source;

/*
 * Read the folder src->dir, except for the tensors' values, for the precision in src->config.shape. Checks that all tensors are
 * there, in the shapes of config.json.
 */
extern void source_read(source *src);
extern void source_free(source *src);

/* Read a tensor like safetensors_read. */
extern void source_tensor(source *src, const char *name, size_t rows, size_t columns, float *values);

#endif
