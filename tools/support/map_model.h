/*
 * map_model.h - a packed model for the programs that work without a server.
 */
#ifndef MAP_MODEL_H
#define MAP_MODEL_H

#include "core/sst.h"

/* Map, open and verify the packed file at path, as the server does; says what is wrong and exits with 2 if it cannot. */
extern void map_model(const char *path, sst_model *model);

#endif
