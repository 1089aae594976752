/*
 * mapping.h - a file mapped read-only, and what becomes of a session when somebody changes the file all the same.
 */
#ifndef SST_MAPPING_H
#define SST_MAPPING_H

#include <sys/stat.h>

typedef struct Mapping
{
    const char *name;           /* for error messages that anyone may read */
    const char *path;
    int         fd;             /* stays open, to look at the file that is mapped, whatever its name; -1: not open */
    void       *base;           /* NULL: not mapped */
    size_t      size;
    struct stat seen;           /* the file when it was mapped */
    bool        lost;           /* it has been changed or could not be read: not to be used again */
    struct Mapping *next;       /* of all mappings of this process */
} Mapping;

/*
 * Map m->path. Returns NULL, or why it cannot be mapped; then *error_number is errno, or 0 where no system call failed.
 * From now on a page that cannot be read (SIGBUS) is an ERROR with ERRCODE_IO_ERROR, wherever the mapping is read. In any
 * case sst_mapping_close() ends it.
 */
extern const char *sst_mapping_open(Mapping *m, int *error_number);

extern void sst_mapping_close(Mapping *m);

/* Raises an ERROR with ERRCODE_DATA_CORRUPTED if the mapped file has been written to. What was computed before may be wrong. */
extern void sst_mapping_check(Mapping *m);

#endif
