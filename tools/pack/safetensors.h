/*
 * safetensors.h - read a safetensors file: https://huggingface.co/docs/safetensors, format of version 0.4.
 */
#ifndef SAFETENSORS_H
#define SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#define SAFETENSORS_MESSAGE 400

typedef struct safetensors
{
    const unsigned char *data;  /* the tensors' bytes, behind the header */
    uint64_t    data_size;
    json_t     *header;
    char        message[SAFETENSORS_MESSAGE];   /* what is wrong, after a call that returned false */
} safetensors;

/*
 * Read the header of the file in file[0..size), which must stay where it is. Checks that every tensor lies inside the file, has
 * the size of its shape and dtype, and overlaps no other.
 */
extern bool safetensors_open(safetensors *st, const unsigned char *file, uint64_t size);
extern void safetensors_close(safetensors *st);

/*
 * Read the tensor name, which must have the shape rows x columns (columns 0: a vector of rows), into values as float32. Reads
 * F32, F16 and BF16, all exactly. Refuses NaN and infinite values. If values is NULL, only checks that the tensor is there, in
 * this shape and such a dtype.
 */
extern bool safetensors_read(safetensors *st, const char *name, size_t rows, size_t columns, float *values);

#endif
