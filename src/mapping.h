/*
 * mapping.h - a file mapped read-only, and what happens if somebody changes the file all the same.
 */
#ifndef SST_MAPPING_H
#define SST_MAPPING_H

#include <sys/stat.h>

typedef struct Mapping
{
    const char *name;           /* for error messages that anyone may read */
    const char *path;
    int         fd;             /* stays open for fstat(): the file may lose its name; -1: not open */
    void       *base;           /* NULL: not mapped */
    size_t      size;
    struct stat seen;           /* the file when it was mapped */
    bool        lost;           /* the file was changed or could not be read: do not use it again */
    struct Mapping *next;       /* in the list of this process's mappings */
} Mapping;

/*
 * Map m->path. Returns NULL, or why it cannot be mapped; then *error_number is errno, or 0 if no system call failed. From
 * now on reading a page that cannot be read (SIGBUS) raises an ERROR with ERRCODE_IO_ERROR. Whatever this returns, call
 * sst_mapping_close() in the end.
 */
extern const char *sst_mapping_open(Mapping *m, int *error_number);

extern void sst_mapping_close(Mapping *m);

/* Raises an ERROR with ERRCODE_DATA_CORRUPTED if somebody wrote to the file: what was computed from it may be wrong. */
extern void sst_mapping_check(Mapping *m);

#endif
