/*
 * installed.c - sst2_models(): which models are installed, and which of them can be used.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "models.h"
#include "rows.h"
#include "settings.h"
#include "text.h"

#define SUFFIX ".dsst"

static Datum
labels_datum(const sst_model *model)
{
    const int   count = (int) model->shape.labels;
    Datum      *labels = palloc(count * sizeof(Datum));

    for (int i = 0; i < count; i++)
        labels[i] = sst_text_from_utf8(sst_model_label(model, i));
    return PointerGetDatum(construct_array(labels, count, TEXTOID, -1, false, TYPALIGN_INT));
}

/* A file's name, with "?" for what some encodings lack. */
static char *
in_ascii(const char *name)
{
    char       *shown = pstrdup(name);

    for (char *c = shown; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
    return shown;
}

/* Opens a model, and checks its word embeddings, too. */
static OpenModel *
inspect_all(const char *name, ModelProblem *problem)
{
    OpenModel  *m = sst_models_inspect(name, problem);

    if (!problem->text && sst_models_damaged_words(&m->model) > 0)
        problem->text = sst_status_text(SST_DAMAGED);
    return m;
}

/* Adds a model's row: what is in its file, or why it cannot be used. */
static void
add_model(const SstRows *rows, const char *name, bool is_default)
{
    ModelProblem problem;
    OpenModel  *m = inspect_all(name, &problem);
    const sst_shape *shape = &m->model.shape;
    Datum       values[11];
    bool        nulls[11];

    memset(nulls, problem.text != NULL, sizeof(nulls));
    values[0] = CStringGetTextDatum(problem.text ? in_ascii(m->map.name) : m->model.name);
    nulls[0] = false;
    if (!problem.text)
    {
        values[1] = CStringGetTextDatum(m->model.fingerprint);
        values[2] = CStringGetTextDatum(sst_precision_name(shape->precision));
        values[3] = Int32GetDatum(shape->layers);
        values[4] = Int32GetDatum(shape->hidden);
        values[5] = Int32GetDatum(shape->vocab);
        values[6] = Int32GetDatum(shape->positions);
        values[7] = labels_datum(&m->model);
        values[8] = Int64GetDatum((int64) m->map.size);
    }
    values[9] = BoolGetDatum(is_default);
    nulls[9] = sst_setting_is_misplaced();
    nulls[10] = !problem.text;
    values[10] = CStringGetTextDatum(problem.text ? problem.text : "");
    sst_rows_add(rows, values, nulls);
    MemoryContextDelete(m->context);
}

/* Adds the names of a folder's models. */
static List *
list_folder(List *names, const char *folder)
{
    DIR        *dir = AllocateDir(folder);
    struct dirent *entry;

    /* without the folder nothing is installed in it */
    while (dir && (entry = ReadDirExtended(dir, folder, LOG)) != NULL)
    {
        char       *name = pstrdup(entry->d_name);
        char       *end = name + Max(0, (int) strlen(name) - (int) strlen(SUFFIX));

        if (strcmp(end, SUFFIX) != 0)
            continue;
        *end = '\0';
        names = lappend(names, name);
    }
    FreeDir(dir);
    return names;
}

static int
compare_names(const ListCell *a, const ListCell *b)
{
    return strcmp(lfirst(a), lfirst(b));
}

/* The names of all models, sorted. A name is there twice if two folders have it. */
static List *
list_models(void)
{
    List       *names = NIL;
    ListCell   *lc;

    foreach(lc, sst_models_folders())
        names = list_folder(names, lfirst(lc));
    list_sort(names, compare_names);
    return names;
}

PG_FUNCTION_INFO_V1(sst2_models);
Datum
sst2_models(PG_FUNCTION_ARGS)
{
    const SstRows rows = sst_rows_begin(fcinfo);
    const bool  misplaced = sst_setting_is_misplaced();
    const char *server = misplaced ? "" : sst_setting_model();
    const char *last = NULL;
    bool        listed = false;
    ListCell   *lc;

    foreach(lc, list_models())
    {
        const bool  is_default = strcmp(lfirst(lc), server) == 0;

        if (last && strcmp(lfirst(lc), last) == 0)
            continue;
        last = lfirst(lc);
        add_model(&rows, lfirst(lc), is_default);
        listed |= is_default;
    }
    /* the server's model is a path, or not installed */
    if (!listed && !misplaced)
        add_model(&rows, server, true);
    return (Datum) 0;
}
