/*
 * mapping.c - a file mapped read-only, and what happens if somebody changes the file all the same.
 *
 * A mapped file lets all sessions share one copy of the weights, in the page cache, and nobody has to look after it. This has a
 * price. If the file is cut or its disk fails, reading the mapping raises SIGBUS, which would end this session and with it all
 * others. And what somebody writes into the file, we read at once.
 *
 * We turn the first into an ERROR. The signal is synchronous: its handler runs at the very instruction that reads the mapping,
 * in the core or in a copy from it, and an ERROR is as safe there as anywhere else. PostgreSQL does the same for SIGFPE. Any
 * other SIGBUS goes to the previous handler. We notice the second by fstat(), before we return an answer.
 *
 * No file could change a copy in shared memory. But somebody would have to make and remove that copy, memory would hold the
 * weights twice, and a container's /dev/shm has 64 MB.
 */
#include "postgres.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "storage/fd.h"

#include "mapping.h"

#ifdef __APPLE__                /* POSIX's names */
#define st_mtim st_mtimespec
#define st_ctim st_ctimespec
#endif

static Mapping *mappings = NULL;
static struct sigaction previous_handler;

static Mapping *
find_mapping(const void *address)
{
    for (Mapping *m = mappings; m; m = m->next)
        if ((const char *) address >= (const char *) m->base && (const char *) address < (const char *) m->base + m->size)
            return m;
    return NULL;
}

static int
change_hint(void)
{
    return errhint("Replace a model by a file of another name, or by renaming a file over it; never write into one. "
                   "The next call opens the file anew.");
}

static void
report_fault(Mapping *m)
{
    m->lost = true;
    ereport(ERROR,
            (errcode(ERRCODE_IO_ERROR),
             errmsg("could not read sentiment model \"%s\"", m->name),
             errdetail("Its file was truncated while in use, or cannot be read from its disk."),
             errdetail_log("The file is \"%s\".", m->path),
             change_hint()));
}

/* Not our mapping. With the default action restored, the instruction faults again when we return. */
static void
pass_on(int signo, siginfo_t *info, void *context)
{
    if (previous_handler.sa_flags & SA_SIGINFO)
        previous_handler.sa_sigaction(signo, info, context);
    else if (previous_handler.sa_handler != SIG_DFL && previous_handler.sa_handler != SIG_IGN)
        previous_handler.sa_handler(signo);
    else
        sigaction(SIGBUS, &previous_handler, NULL);
}

static void
handle_sigbus(int signo, siginfo_t *info, void *context)
{
    Mapping    *m = info->si_code > 0 ? find_mapping(info->si_addr) : NULL;    /* 0 or less: kill() sent it */
    sigset_t    this_signal;

    if (!m)
    {
        pass_on(signo, info, context);
        return;
    }
    /* the ERROR leaves this handler without returning */
    sigemptyset(&this_signal);
    sigaddset(&this_signal, SIGBUS);
    sigprocmask(SIG_UNBLOCK, &this_signal, NULL);
    report_fault(m);
}

/* Called for each file that is mapped, since another library may have installed its own handler. */
static void
install_handler(void)
{
    struct sigaction ours = {.sa_sigaction = handle_sigbus, .sa_flags = SA_SIGINFO | SA_RESTART};
    struct sigaction current;

    sigaction(SIGBUS, NULL, &current);
    if ((current.sa_flags & SA_SIGINFO) && current.sa_sigaction == handle_sigbus)
        return;
    previous_handler = current;
    sigemptyset(&ours.sa_mask);
    sigaction(SIGBUS, &ours, NULL);
}

static const char *
system_error(int *error_number)
{
    *error_number = errno;
    return pstrdup(strerror(*error_number));
}

const char *
sst_mapping_open(Mapping *m, int *error_number)
{
    void       *base;

    *error_number = 0;
    m->fd = BasicOpenFile(m->path, O_RDONLY | O_NONBLOCK | PG_BINARY);   /* a pipe must not block us */
    if (m->fd < 0)
        return system_error(error_number);
    ReserveExternalFD();
    if (fstat(m->fd, &m->seen) != 0)
        return system_error(error_number);
    if (!S_ISREG(m->seen.st_mode) || m->seen.st_size == 0 || (uint64) m->seen.st_size > SIZE_MAX)
        return "it is empty or no regular file";
    m->size = (size_t) m->seen.st_size;
    base = mmap(NULL, m->size, PROT_READ, MAP_SHARED, m->fd, 0);
    if (base == MAP_FAILED)
        return system_error(error_number);
#ifdef MADV_HUGEPAGE
    /* If the file system caches files in large pages, this saves 4096-byte page faults and TLB misses. */
    (void) madvise(base, m->size, MADV_HUGEPAGE);
#endif
    m->base = base;
    m->next = mappings;
    mappings = m;
    install_handler();
    return NULL;
}

void
sst_mapping_close(Mapping *m)
{
    for (Mapping **link = &mappings; *link; link = &(*link)->next)
        if (*link == m)
        {
            *link = m->next;
            break;
        }
    if (m->base)
        munmap(m->base, m->size);
    m->base = NULL;
    if (m->fd >= 0)
    {
        close(m->fd);
        ReleaseExternalFD();
    }
    m->fd = -1;
}

static bool
same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* A rename over the file's name, a link, a chmod or a chown changes the inode's time, but no byte of the file. */
static bool
is_explained(const struct stat *before, const struct stat *now)
{
    return before->st_nlink != now->st_nlink || before->st_mode != now->st_mode ||
        before->st_uid != now->st_uid || before->st_gid != now->st_gid;
}

void
sst_mapping_check(Mapping *m)
{
    struct stat now;

    if (fstat(m->fd, &now) == 0 && now.st_size == m->seen.st_size && same_time(&now.st_mtim, &m->seen.st_mtim) &&
        (same_time(&now.st_ctim, &m->seen.st_ctim) || is_explained(&m->seen, &now)))
    {
        m->seen = now;
        return;
    }
    m->lost = true;
    ereport(ERROR,
            (errcode(ERRCODE_DATA_CORRUPTED),
             errmsg("the file of sentiment model \"%s\" has been changed", m->name),
             errdetail("It was written to, moved or touched while this session had it in use."),
             errdetail_log("The file is \"%s\".", m->path),
             change_hint()));
}
