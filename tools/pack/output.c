/*
 * output.c - name and write a packed file.
 */
#include "output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
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

/* The folder of a path, with the slash. */
static char *
folder_of(const char *path)
{
    size_t      len = (size_t) (file_name(path) - path);
    char       *folder = len > 0 ? strndup(path, len) : strdup("./");

    if (!folder)
        die("out of memory");
    return folder;
}

/* Does a file's name end in -XXXXXXXX.dsst, like a model's? */
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
    char        file[SST_NAME_SIZE + sizeof(SUFFIX)];
    struct stat st;
    bool        folder = stat(out, &st) == 0 && S_ISDIR(st.st_mode);
    size_t      size = strlen(out) + sizeof("/") + sizeof(file);
    char       *path = malloc(size);

    if (!path)
        die("out of memory");
    snprintf(file, sizeof(file), "%s" SUFFIX, name);
    snprintf(path, size, folder ? "%s/%s" : "%s", out, file);
    if (!folder && names_a_model(file_name(out)) && strcmp(file_name(out), file) != 0)
        die("\"%s\" is another model's name: this one is \"%s\"", out, name);
    if (lstat(path, &st) == 0 && (stat(path, &st) != 0 || !S_ISREG(st.st_mode)))
        die("\"%s\" exists and is no regular file", path);
    return path;
}

/* ---- the temporary file ---------------------------------------------------------------------- */

/*
 * We write the file under such a name in its own folder, and lock it. A lock ends with its packer, so one that nobody has locked
 * was left by a packer that was killed.
 */
#define TEMPORARY ".distilsst-pack."

static char *temporary;         /* its path */

static void
remove_temporary(int signal_number)
{
    unlink(temporary);
    raise(signal_number);       /* now with its default action */
}

static void
catch_signals(void)
{
    static const int signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXCPU, SIGXFSZ};
    const struct sigaction action = {.sa_handler = remove_temporary, .sa_flags = SA_RESETHAND};

    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
    {
        struct sigaction old;

        if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaction(signals[i], &action, NULL);
    }
}

static void
remove_left_overs(const char *folder)
{
    DIR        *dir = opendir(folder);
    struct dirent *entry;

    while (dir && (entry = readdir(dir)))
    {
        int         fd = -1;

        if (strncmp(entry->d_name, TEMPORARY, strlen(TEMPORARY)) == 0)
            fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
            unlinkat(dirfd(dir), entry->d_name, 0);
        if (fd >= 0)
            close(fd);
    }
    if (dir)
        closedir(dir);
}

static int
create_temporary(const char *folder)
{
    size_t      size = strlen(folder) + sizeof(TEMPORARY "XXXXXX");
    struct stat st = {.st_nlink = 0};
    int         fd = -1;

    temporary = malloc(size);
    if (!temporary)
        die("out of memory");
    catch_signals();
    while (st.st_nlink == 0)    /* another packer took it for a left-over before we had it locked */
    {
        if (fd >= 0)
            close(fd);
        snprintf(temporary, size, "%s" TEMPORARY "XXXXXX", folder);
        fd = mkstemp(temporary);
        if (fd < 0 || fstat(fd, &st) != 0)
            die("could not create a file in \"%s\": %s", folder, strerror(errno));
        if (flock(fd, LOCK_EX) == 0)
            fstat(fd, &st);
    }
    return fd;
}

/* ---- the file -------------------------------------------------------------------------------- */

static bool
write_all(int fd, const char *bytes, size_t size)
{
    while (size > 0)
    {
        ssize_t     written = write(fd, bytes, size);

        if (written < 0)
            return false;
        bytes += written;
        size -= (size_t) written;
    }
    return true;
}

static mode_t
mode_by_umask(void)
{
    mode_t      mask = umask(0);

    umask(mask);
    return 0666 & ~mask;
}

static void
sync_folder(const char *folder)
{
    int         fd = open(folder, O_RDONLY);

    if (fd >= 0)
    {
        fsync(fd);
        close(fd);
    }
}

/* Returns 0, or errno: EEXIST if path exists by now. */
static int
create(const char *path, const char *folder, const void *bytes, size_t size)
{
    mode_t      mode = mode_by_umask();
    int         fd = create_temporary(folder);
    int         error = 0;

    if (!write_all(fd, bytes, size) || fchmod(fd, mode) != 0 || fsync(fd) != 0 || link(temporary, path) != 0)
        error = errno;
    unlink(temporary);
    close(fd);
    sync_folder(folder);
    if (!error && !(mode & S_IROTH))
        fprintf(stderr, "distilsst-pack: by your umask not all users may read \"%s\"; the server's user must\n", path);
    return error;
}

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

bool
output_write(const char *path, const void *bytes, size_t size)
{
    char       *folder = folder_of(path);
    int         error = EEXIST;

    remove_left_overs(folder);
    if (access(path, F_OK) != 0)
        error = create(path, folder, bytes, size);
    free(folder);
    if (error && error != EEXIST)
        die("could not write \"%s\": %s", path, strerror(error));
    if (error && !holds(path, bytes, size))
        die("\"%s\" exists with other contents, and a model is never replaced", path);
    return !error;
}
