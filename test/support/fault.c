/*
 * fault.c - a library to preload: something happens to a program at the FAULT_AT-th step of changing files.
 *
 * A step is the moment before or after one of the calls below, or the middle of a write, when half of it is done.
 *   FAULT_SIGNAL=N   the program gets that signal
 *   FAULT_ERRNO=N    the call fails with that error; steps that are not before a call do not count
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static int
number(const char *name)
{
    const char *value = getenv(name);

    return value ? atoi(value) : 0;
}

/* Returns true if the call must fail. */
static bool
step(bool before)
{
    static int  steps;
    const int   error = number("FAULT_ERRNO");

    if (error && !before)
        return false;
    if (++steps != number("FAULT_AT"))
        return false;
    if (!error)
        raise(number("FAULT_SIGNAL"));
    errno = error;
    return error != 0;
}

#define NEXT(name) ((__typeof__(name) *) dlsym(RTLD_NEXT, #name))

#define WRAP(type, name, parameters, arguments) \
type \
name parameters \
{ \
    type        result; \
 \
    if (step(true)) \
        return -1; \
    result = NEXT(name) arguments; \
    step(false); \
    return result; \
}

WRAP(int, mkstemp, (char *template), (template))
WRAP(int, fchmod, (int fd, mode_t mode), (fd, mode))
WRAP(int, fsync, (int fd), (fd))
WRAP(int, link, (const char *from, const char *to), (from, to))
WRAP(int, rename, (const char *from, const char *to), (from, to))
WRAP(int, unlink, (const char *path), (path))

ssize_t
write(int fd, const void *bytes, size_t size)
{
    ssize_t     half,
                rest;

    if (step(true))
        return -1;
    half = NEXT(write) (fd, bytes, size / 2);
    if (half < 0)
        return half;
    step(false);
    rest = NEXT(write) (fd, (const char *) bytes + half, size - (size_t) half);
    step(false);
    return rest < 0 ? half : half + rest;
}
