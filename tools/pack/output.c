/*
 * output.c - name and write a packed file.
 */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/packed.h"
#include "die.h"

#define SUFFIX ".dsst"

/* ---- the name -------------------------------------------------------------------------------- */

/* The last part of a path. */
static const char *
file_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

/* Does a file's name end in -XXXXXXXX.dsst, as that of a model? */
static bool
names_a_model(const char *file)
{
    const size_t size = strlen("-" SUFFIX) + SST_NAME_DIGITS;
    const char *end = strlen(file) >= size ? file + strlen(file) - size : file;

    return end[0] == '-' && strspn(end + 1, "0123456789abcdef") == SST_NAME_DIGITS &&
        strcmp(end + 1 + SST_NAME_DIGITS, SUFFIX) == 0;
}

char *
output_path(const char *out, const char *name)
{
    struct stat st;
    bool        exists = stat(out, &st) == 0;
    bool        folder = exists && S_ISDIR(st.st_mode);
    size_t      size = strlen(out) + strlen(name) + sizeof("/" SUFFIX);
    char       *path = malloc(size);

    if (!path)
        die("out of memory");
    snprintf(path, size, folder ? "%s/%s" SUFFIX : "%s", out, name);
    if (!folder && names_a_model(file_name(out)) &&
        (strncmp(file_name(out), name, strlen(name)) != 0 || strcmp(file_name(out) + strlen(name), SUFFIX) != 0))
        die("\"%s\" is another model's name: this one is \"%s\"", out, name);
    if (folder)
        exists = stat(path, &st) == 0;
    if (exists && !S_ISREG(st.st_mode))
        die("\"%s\" exists and is no regular file", path);
    return path;
}

/* ---- the file -------------------------------------------------------------------------------- */

/* Does the file path, which exists, hold bytes[0..size)? */
static bool
holds(const char *path, const void *bytes, size_t size)
{
    int         fd = open(path, O_RDONLY);
    struct stat st;
    void       *old = MAP_FAILED;
    bool        same;

    if (fd < 0 || fstat(fd, &st) != 0)
        die("could not open \"%s\": %s", path, strerror(errno));
    if ((uint64_t) st.st_size == size)
        old = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    same = old != MAP_FAILED && memcmp(old, bytes, size) == 0;
    if (old != MAP_FAILED)
        munmap(old, size);
    close(fd);
    return same;
}

static int
write_all(int fd, const char *bytes, size_t size)
{
    while (size > 0)
    {
        ssize_t     written = write(fd, bytes, size);

        if (written < 0)
            return -1;
        bytes += written;
        size -= (size_t) written;
    }
    return 0;
}

bool
output_write(const char *path, const void *bytes, size_t size)
{
    size_t      length = strlen(path) + 16;
    char       *temporary = malloc(length);
    int         fd,
                error = 0;

    if (!temporary)
        die("out of memory");
    snprintf(temporary, length, "%s.XXXXXX", path);
    fd = mkstemp(temporary);
    if (fd < 0)
        die("could not create \"%s\": %s", temporary, strerror(errno));
    if (write_all(fd, bytes, size) != 0 || fchmod(fd, 0644) != 0 || fsync(fd) != 0 || close(fd) != 0 ||
        link(temporary, path) != 0)
        error = errno;
    unlink(temporary);
    free(temporary);
    if (error == EEXIST)
    {
        if (!holds(path, bytes, size))
            die("\"%s\" exists with other contents, and a model is never replaced", path);
    }
    else if (error)
        die("could not write \"%s\": %s", path, strerror(error));
    return !error;
}
