/*
 * weights.h - the tensors of a Hugging Face folder, in one file or in several. All functions end the program if something is
 * wrong.
 */
#ifndef WEIGHTS_H
#define WEIGHTS_H

#include "safetensors.h"

typedef struct weights_file
{
    char       *path;
    const char *name;           /* the last part of path */
    safetensors tensors;
} weights_file;

typedef struct weights
{
    const char *index;          /* path of model.safetensors.index.json; NULL if there is one file without it */
    weights_file *files;        /* [count], in the order of their names */
    size_t      count;
} weights;

/* "dir/name". Nobody frees it: the tool runs once. */
extern char *path_in(const char *dir, const char *name);

/* The bytes of a file, mapped for good. */
extern const unsigned char *map_file(const char *path, uint64_t *size);

/* Map dir/model.safetensors or, if there is none, the files that dir/model.safetensors.index.json names. */
extern void weights_open(weights *w, const char *dir);
extern void weights_close(weights *w);

/* Read a tensor, or look for it, like safetensors_read. */
extern void weights_read(weights *w, const char *name, size_t rows, size_t columns, float *values);

#endif
