/*
 * build.h - the packed file of a source, in memory.
 */
#ifndef BUILD_H
#define BUILD_H

#include "core/packed.h"
#include "source.h"

/* The whole packed file, header->file_size bytes for the caller to free. name is the model's full name. */
extern sst_packed_header *build_packed(source *src, const char *name);

#endif
