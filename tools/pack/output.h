/*
 * output.h - put a packed file where it belongs. A model's name means one content for ever, so no file is ever replaced.
 */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The file that the model goes to: OUT/NAME.dsst if out is a folder, or else out, which must not be named like another model.
 * The caller frees it. Ends the program if no file may be written there.
 */
extern char *output_path(const char *out, const char *name);

/*
 * Write bytes[0..size) to the file path, all at once or not at all. Returns false if the file exists with the same bytes. Ends
 * the program if it has others, or on an error.
 */
extern bool output_write(const char *path, const void *bytes, size_t size);

#endif
