/*
 * models.c - find, check and keep the models of a session.
 *
 * The server holds a mapped file's pages once, however many sessions use it, and a session attaches with one system call.
 * There is no lock and nothing in shared memory. A name means one content for ever, so a session and its parallel workers
 * need not talk about it.
 *
 * Only superusers see paths; others see the model's name.
 */
#include "postgres.h"

#include <unistd.h>

#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "builtin_model.h"
#include "core/packed.h"
#include "models.h"
#include "settings.h"

#define MOST_OPEN 4

static OpenModel *open_models[MOST_OPEN];
static uint64 uses;             /* the clock of last_use */

static void
process_interrupts(void *arg)
{
    (void) arg;
    CHECK_FOR_INTERRUPTS();
}

const sst_tick sst_interrupts = {process_interrupts, NULL};

/* ---- what may be shown ----------------------------------------------------------------------- */

/* Only if current and outer role are both superusers: in a SECURITY DEFINER function they differ. */
static bool
may_see_paths(void)
{
    return superuser() && superuser_arg(GetOuterUserId());
}

const char *
sst_models_file(const OpenModel *m)
{
    return may_see_paths() ? m->map.path : NULL;
}

static int
path_detail(const OpenModel *m)
{
    return may_see_paths() ? errdetail("The file is \"%s\".", m->map.path) : errdetail_log("The file is \"%s\".", m->map.path);
}

static int
model_hint(bool named, int error_number)
{
    if (error_number == EACCES)
        return errhint("The server's operating system user must be able to read it.");
    if (named)
        return errhint("sst2_models() lists the models that are installed. Install this one, under the same name, with "
                       "\"make install\" or its package if it is built in, with \"make install-model\", or by copying its file "
                       "from another server.");
    return errhint("Set distilsst.model, by ALTER SYSTEM or in postgresql.conf, to a model that sst2_models() lists, or "
                   "install this one with \"make install\" or its package if it is built in, with \"make install-model\", or by "
                   "copying its file from another server.");
}

/* ---- opening --------------------------------------------------------------------------------- */

List *
sst_models_folders(void)
{
    const char *path = GetConfigOption("extension_control_path", true, false);
    char        share[MAXPGPATH];
    List       *folders;

    get_share_path(my_exec_path, share);
    folders = list_make1(psprintf("%s/distilsst", share));
    while (path)
    {
        const char *end = first_path_var_separator(path);
        char       *entry = pnstrdup(path, end ? (size_t) (end - path) : strlen(path));

        /* the only other entry is $system, which is share */
        if (is_absolute_path(entry))
        {
            canonicalize_path(entry);
            folders = lappend(folders, psprintf("%s/distilsst", entry));
        }
        path = end ? end + 1 : NULL;
    }
    return folders;
}

/* The path of the model of this name, in the first folder that has it. If none has, in the first folder. */
static char *
find_file(const char *name)
{
    List       *folders = sst_models_folders();
    ListCell   *lc;

    foreach(lc, folders)
    {
        char       *path = psprintf("%s/%s.dsst", (char *) lfirst(lc), name);

        if (access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR))
            return path;
    }
    return psprintf("%s/%s.dsst", (char *) linitial(folders), name);
}

static void
close_model(void *arg)
{
    sst_mapping_close(&((OpenModel *) arg)->map);
}

static OpenModel *
make_model(const char *name)
{
    MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "distilsst model", ALLOCSET_SMALL_SIZES);
    OpenModel  *m = MemoryContextAllocZero(context, sizeof(OpenModel));

    m->context = context;
    m->map.fd = -1;
    m->close.func = close_model;
    m->close.arg = m;
    MemoryContextRegisterResetCallback(context, &m->close);
    m->asked = MemoryContextStrdup(context, name);
    m->map.name = sst_shown_name(m->asked);
    m->map.path = m->asked;
    if (!is_absolute_path(name))
        m->map.path = MemoryContextStrdup(context, find_file(name));
    return m;
}

static void *
copy(OpenModel *m, const void *bytes, size_t size)
{
    return memcpy(MemoryContextAlloc(m->context, Max(size, 1)), bytes, size);
}

/*
 * Copy what is read outside of the core: no later change of the file reaches the copy. The sizes are the model's own.
 * sst_mapping_check() then says whether the bytes are those that sst_model_open() has checked.
 */
static void
keep_small_tables(OpenModel *m)
{
    sst_model  *model = &m->model;

    model->label_bytes = copy(m, model->label_bytes, model->label_size);
    model->label_offsets = copy(m, model->label_offsets, (model->shape.labels + 1) * sizeof(uint32_t));
    model->selftest_bytes = copy(m, model->selftest_bytes, model->selftest_size);
    model->selftest_offsets = copy(m, model->selftest_offsets, (model->selftests + 1) * sizeof(uint32_t));
}

static ModelProblem
open_file(OpenModel *m)
{
    ModelProblem problem = {.text = NULL};
    sst_status  status;

    problem.text = sst_mapping_open(&m->map, &problem.error_number);
    if (problem.text)
        return problem;
    status = sst_model_open(&m->model, m->map.base, m->map.size, &sst_interrupts);
    if (status == SST_OK)
        status = sst_model_verify(&m->model, &sst_interrupts);
    if (status != SST_OK)
        return (ModelProblem) {.text = sst_status_text(status)};
    keep_small_tables(m);
    sst_mapping_check(&m->map);
    /* a path means whatever lies there */
    if (!is_absolute_path(m->asked) && strcmp(m->asked, m->model.name) != 0)
        return (ModelProblem) {.text = psprintf("its file holds another model, \"%s\"", m->model.name), .misnamed = true};
    return (ModelProblem) {.text = NULL};
}

/* BASE-XXXXXXXX, where X are hex digits? */
static bool
is_model_name(const char *name)
{
    const char *dash = strrchr(name, '-');

    return dash && sst_name_is_valid(name, dash - name) && strlen(dash + 1) == SST_NAME_DIGITS &&
        strspn(dash + 1, "0123456789abcdef") == SST_NAME_DIGITS;
}

OpenModel *
sst_models_inspect(const char *name, ModelProblem *problem)
{
    OpenModel  *m = make_model(name);

    *problem = (ModelProblem) {.text = "this is not the name of a model"};
    if (is_absolute_path(name) || is_model_name(name))
        *problem = open_file(m);
    return m;
}

static int
misnamed_hint(const OpenModel *m)
{
    return errhint("Rename that file to \"%s.dsst\", and install \"%s\" again, with \"make install-model\" or by copying its "
                   "file from another server.", m->model.name, m->asked);
}

static void
report_problem(const OpenModel *m, ModelProblem problem, bool named)
{
    /* errcode_for_file_access() does not know it in all versions */
    const bool  no_memory = problem.error_number == ENOMEM;

    if (problem.error_number == 0)
        ereport(ERROR,
                (errcode(ERRCODE_DATA_CORRUPTED),
                 errmsg("sentiment model \"%s\" cannot be used: %s", m->map.name, problem.text),
                 path_detail(m),
                 problem.misnamed ? misnamed_hint(m) : model_hint(named, 0)));
    errno = problem.error_number;
    ereport(ERROR,
            (no_memory ? errcode(ERRCODE_OUT_OF_MEMORY) : errcode_for_file_access(),
             errmsg("could not open sentiment model \"%s\": %m", m->map.name),
             path_detail(m),
             model_hint(named, problem.error_number)));
}

static const char *
clipped(const char *name)
{
    return pnstrdup(name, pg_mbcliplen(name, (int) strlen(name), 2 * SST_NAME_SIZE));
}

/* PostgreSQL takes a number in quotes for a name where it could be either. */
static int
name_hint(const char *name)
{
    char       *end;

    if (strtod(name, &end) >= 0 && end > name && *end == '\0')
        return errhint("A string names a model. Write a confidence as a number, %s or '%s'::real.", clipped(name), clipped(name));
    return errhint("sst2_models() lists the models that are installed.");
}

static void
check_name(const char *name, bool named)
{
    if (is_model_name(name) || (is_absolute_path(name) && !named))
        return;
    ereport(ERROR,
            (errcode(named ? ERRCODE_INVALID_PARAMETER_VALUE : ERRCODE_CONFIG_FILE_ERROR),
             errmsg("\"%s\" is not the name of a sentiment model", clipped(sst_shown_name(name))),
             errdetail("A name has letters, digits, \".\", \"_\" and \"-\", and ends with \"-\" and the first eight digits of "
                       "the model's fingerprint, as \"%s\" does.", SST_BUILTIN_MODEL),
             named ? name_hint(name) :
             errhint("Set distilsst.model, by ALTER SYSTEM or in postgresql.conf, to a model that sst2_models() lists.")));
}

/* ---- the models that are open ---------------------------------------------------------------- */

static OpenModel **
find_open(const char *name)
{
    for (int i = 0; i < MOST_OPEN; i++)
        if (open_models[i] && strcmp(open_models[i]->asked, name) == 0)
            return &open_models[i];
    return NULL;
}

static void
close_place(OpenModel **place)
{
    OpenModel  *m = *place;

    *place = NULL;
    if (m)
        MemoryContextDelete(m->context);
}

/* A place for one more model. The least recently used one gives way. */
static OpenModel **
free_place(void)
{
    OpenModel **place = &open_models[0];

    for (int i = 0; i < MOST_OPEN && *place; i++)
        if (!open_models[i] || open_models[i]->last_use < (*place)->last_use)
            place = &open_models[i];
    close_place(place);
    return place;
}

static OpenModel *
open_model(const char *name, bool named)
{
    ModelProblem problem;
    OpenModel  *m;

    check_name(name, named);
    m = sst_models_inspect(name, &problem);
    if (problem.text)
        report_problem(m, problem, named);
    MemoryContextSetParent(m->context, TopMemoryContext);
    *free_place() = m;
    ereport(DEBUG1, (errmsg_internal("opened sentiment model \"%s\"", m->map.name)));
    return m;
}

OpenModel *
sst_models_open(const char *name)
{
    const char *wanted = name ? name : sst_setting_model();
    OpenModel **place;
    OpenModel  *m;

    if (name && is_absolute_path(name))
        check_name(name, true);
    place = find_open(wanted);
    if (place && (*place)->map.lost)
        close_place(place);
    m = place && *place ? *place : open_model(wanted, name != NULL);
    m->last_use = ++uses;
    return m;
}

const char *
sst_models_server_name(void)
{
    OpenModel **place = sst_setting_is_misplaced() ? NULL : find_open(sst_setting_model());

    return place ? (*place)->model.name : sst_setting_model_shown();
}

void
sst_models_check(OpenModel *m, sst_status status)
{
    switch (status)
    {
        case SST_OK:
            break;
        case SST_BAD_TOKEN:
            ereport(ERROR,
                    (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
                     errmsg("token id is out of range"),
                     errdetail("Token ids are 0 to %u.", m->model.shape.vocab - 1)));
            break;
        case SST_NOT_FINITE:
            ereport(ERROR,
                    (errcode(ERRCODE_FLOATING_POINT_EXCEPTION),
                     errmsg("sentiment model \"%s\" gives no finite answer for this text", m->map.name),
                     errhint("Its weights are broken or too large; pack and install another model.")));
            break;
        default:
            m->map.lost = true;
            report_problem(m, (ModelProblem) {.text = sst_status_text(status)},
                           strcmp(m->map.name, sst_setting_model_shown()) != 0);
    }
}

uint32
sst_models_damaged_words(const sst_model *model)
{
    uint32      damaged = 0;

    for (uint32 id = 0; id < model->shape.vocab; id++)
    {
        CHECK_FOR_INTERRUPTS();
        damaged += !sst_word_is_intact(model, id);
    }
    return damaged;
}
