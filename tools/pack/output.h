/*
 * output.h - put a packed file where it belongs. A model's name means one content for ever, so no file is ever replaced.
 */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The file that the model goes to: OUT/NAME.dsst where out is a folder, else out, whose name must not be that of another
 * model. For the caller to free. Ends the program where no file may be written there.
 */
extern char *output_path(const char *out, const char *name);

/*
 * Make the file path of bytes[0..size), all at once or not at all. Returns false where it is there already with the same
 * bytes. Ends the program where it has others, or on an error.
 */
extern bool output_write(const char *path, const void *bytes, size_t size);

#endif
