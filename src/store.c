/*
 * store.c - find the packed model, map it, and turn the core's errors into reports.
 *
 * The file is mapped shared and read-only: the server holds its pages once, however many sessions use it, and a session
 * attaches by one system call. There is no lock and nothing in shared memory. A model is replaced by renaming a new file
 * over the old: sessions that have the old one mapped keep it until distilsst.model names another. Writing into a mapped
 * file would change answers, truncating it would kill backends; so neither is ever done by our tools.
 *
 * Paths are shown to superusers only; others learn the model's name.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "access/parallel.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/guc.h"

#include "store.h"

#define DEFAULT_MODEL "default"

static char *model_setting = NULL;  /* distilsst.model */

static struct
{
    bool        open;           /* checked and in use */
    char        setting[MAXPGPATH]; /* distilsst.model when it was opened */
    char        path[MAXPGPATH];
    void       *base;           /* NULL: not mapped */
    size_t      size;
    sst_model   model;
    uint64      generation;
} current;

/*
 * distilsst.opened, which nobody sets: tells parallel workers which model their leader has open, 0 for none. They open the
 * file by its name, and would find another model after a replacement. Settings are all that PostgreSQL hands them.
 */
static int  leader_model = 0;

static void
process_interrupts(void *arg)
{
    (void) arg;
    CHECK_FOR_INTERRUPTS();
}

const sst_tick store_tick = {process_interrupts, NULL};

/* distilsst.model is an absolute path, or a name that stays inside SHAREDIR/distilsst. */
static bool
check_model_setting(char **newval, void **extra, GucSource source)
{
    (void) extra;
    (void) source;
    if (strlen(*newval) >= MAXPGPATH)
    {
        GUC_check_errdetail("The path is too long.");
        return false;
    }
    if (is_absolute_path(*newval))
        return true;
    if (**newval != '\0' && **newval != '.' &&
        strspn(*newval, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == strlen(*newval))
        return true;
    GUC_check_errdetail("A model is an absolute path, or a name of letters, digits, \"_\", \"-\" and \".\".");
    return false;
}

/* The open model in 28 bits: enough to notice a replacement. */
static int
model_number(void)
{
    char        digits[8];

    strlcpy(digits, current.model.fingerprint, sizeof(digits));
    return (int) strtol(digits, NULL, 16);
}

static void
assign_model_setting(const char *newval, void *extra)
{
    (void) extra;
    if (!IsParallelWorker())
        leader_model = current.open && strcmp(newval, current.setting) == 0 ? model_number() : 0;
}

void
store_init(void)
{
    DefineCustomStringVariable("distilsst.model",
                               "Model that the sst2 functions use.",
                               "Name of a packed model in the distilsst folder of the server's share directory, "
                               "or an absolute path.",
                               &model_setting,
                               DEFAULT_MODEL,
                               PGC_SUSET,
                               GUC_SUPERUSER_ONLY,
                               check_model_setting,
                               assign_model_setting,
                               NULL);
    DefineCustomIntVariable("distilsst.opened",
                            "Tells parallel workers which model their leader has open.",
                            NULL,
                            &leader_model,
                            0, 0, INT_MAX,
                            PGC_SUSET,
                            GUC_NO_SHOW_ALL | GUC_NOT_IN_SAMPLE | GUC_DISALLOW_IN_FILE,
                            NULL, NULL, NULL);
    /* Workers are not given what stands at its default. */
    SetConfigOption("distilsst.opened", "0", PGC_SUSET, PGC_S_OVERRIDE);
}

static void
make_path(char *path)
{
    char        share[MAXPGPATH];

    get_share_path(my_exec_path, share);
    if (is_absolute_path(model_setting))
        strlcpy(path, model_setting, MAXPGPATH);
    else
        snprintf(path, MAXPGPATH, "%s/distilsst/%s.dsst", share, model_setting);
}

/* What to call the model in a message that anyone may read. */
static const char *
shown_name(void)
{
    const char *slash = last_dir_separator(model_setting);

    return slash ? slash + 1 : model_setting;
}

/* In a SECURITY DEFINER function neither its owner nor its caller may see what the other may not. */
static bool
may_see_paths(void)
{
    return superuser() && superuser_arg(GetOuterUserId());
}

static int
path_detail(const char *path)
{
    return may_see_paths() ? errdetail("The file is \"%s\".", path) : errdetail_log("The file is \"%s\".", path);
}

static int
model_hint(void)
{
    return errhint("Run \"make install-model\" in the source tree of distilsst to install the official model, "
                   "or set distilsst.model to a packed model.");
}

static void
close_model(void)
{
    current.open = false;
    if (!IsParallelWorker())
        leader_model = 0;
    if (current.base)
        munmap(current.base, current.size);
    current.base = NULL;
}

static void
report_unreadable(const char *path)
{
    ereport(ERROR,
            (errcode_for_file_access(),
             errmsg("could not open sentiment model \"%s\": %m", shown_name()),
             path_detail(path),
             model_hint()));
}

static void
report_unmapped(const char *path)
{
    bool        no_memory = errno == ENOMEM;    /* which errcode_for_file_access() does not know in all versions */

    ereport(ERROR,
            (no_memory ? errcode(ERRCODE_OUT_OF_MEMORY) : errcode_for_file_access(),
             errmsg("could not map sentiment model \"%s\": %m", shown_name()),
             path_detail(path)));
}

static void
map_file(const char *path)
{
    int         fd = OpenTransientFile(path, O_RDONLY | O_NONBLOCK | PG_BINARY);   /* a pipe must not block us */
    struct stat st;
    void       *base;

    if (fd < 0 || fstat(fd, &st) != 0)
        report_unreadable(path);
    if (!S_ISREG(st.st_mode) || st.st_size == 0 || (uint64) st.st_size > SIZE_MAX)
        ereport(ERROR,
                (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                 errmsg("sentiment model \"%s\" is empty or no regular file", shown_name()),
                 path_detail(path),
                 model_hint()));
    base = mmap(NULL, (size_t) st.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED)
        report_unmapped(path);
    CloseTransientFile(fd);
#ifdef MADV_HUGEPAGE
    /* Where the file system caches files in large pages, this saves 4096-byte page faults and TLB misses. */
    (void) madvise(base, (size_t) st.st_size, MADV_HUGEPAGE);
#endif
    current.base = base;
    current.size = (size_t) st.st_size;
}

/* Tell who did not ask for this very model what it is, once a session. */
static void
give_notice(void)
{
    static bool noticed = false;

    if (noticed || current.model.notice[0] == '\0' || strcmp(model_setting, DEFAULT_MODEL) != 0 || IsParallelWorker())
        return;
    noticed = true;
    ereport(NOTICE, (errmsg("%s", current.model.notice)));
}

/* A parallel worker must not answer from another model than its leader; the leader says which it has. */
static void
agree_with_leader(void)
{
    if (!IsParallelWorker())
        leader_model = model_number();
    else if (leader_model != 0 && leader_model != model_number())
        ereport(ERROR,
                (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                 errmsg("sentiment model \"%s\" has been replaced since this session opened it", shown_name()),
                 errdetail("A parallel worker would use the new model, and the session the old one."),
                 errhint("Connect anew to use the new model, or set max_parallel_workers_per_gather to 0 to go on "
                         "with the old one.")));
}

static void
open_model(void)
{
    sst_status  status;

    close_model();
    strlcpy(current.setting, model_setting, MAXPGPATH);
    make_path(current.path);
    map_file(current.path);
    status = sst_model_open(&current.model, current.base, current.size);
    if (status == SST_OK)
        status = sst_model_verify(&current.model, &store_tick);
    store_check(status);
    agree_with_leader();
    current.generation++;
    current.open = true;
    give_notice();
}

const sst_model *
store_model(void)
{
    if (!current.open || strcmp(model_setting, current.setting) != 0)
        open_model();
    return &current.model;
}

uint64
store_generation(void)
{
    return current.generation;
}

const char *
store_file(void)
{
    return may_see_paths() ? current.path : NULL;
}

void
store_check(sst_status status)
{
    switch (status)
    {
        case SST_OK:
            break;
        case SST_BAD_TOKEN:
            ereport(ERROR,
                    (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
                     errmsg("token id is out of range"),
                     errdetail("Token ids are 0 to %u.", current.model.shape.vocab - 1)));
            break;
        case SST_NOT_FINITE:
            ereport(ERROR,
                    (errcode(ERRCODE_FLOATING_POINT_EXCEPTION),
                     errmsg("sentiment model \"%s\" gives no finite answer for this text", shown_name()),
                     errhint("Its weights are broken or too large; pack and install another model.")));
            break;
        default:
            close_model();      /* do not answer from this file again without looking at it */
            ereport(ERROR,
                    (errcode(ERRCODE_DATA_CORRUPTED),
                     errmsg("sentiment model \"%s\" cannot be used: %s", shown_name(), sst_status_text(status)),
                     path_detail(current.path),
                     model_hint()));
    }
}
