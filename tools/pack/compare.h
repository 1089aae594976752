/*
 * compare.h - what a model would be like in the other precision.
 */
#ifndef COMPARE_H
#define COMPARE_H

#include <stdio.h>

#include "core/packed.h"
#include "source.h"

/*
 * Print a line about packed, which was made of src, in the other precision: its size, its time here, and how many labels of its
 * self-test change. Leaves src in that precision.
 */
extern void compare_precisions(source *src, const sst_packed_header *packed, FILE *to);

#endif
