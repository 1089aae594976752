/*
 * settings.c - distilsst.model, the model that answers a call that names none; and settings made before the library was loaded.
 *
 * All sessions share an index, so they must share the model behind it: only postgresql.conf, ALTER SYSTEM and the server's
 * command line set distilsst.model. Once the library is loaded, PostgreSQL refuses all other ways. Before that it keeps any
 * value as a placeholder, and the value of a role, a database or a connection hides the server's own: then calls that name no
 * model raise an ERROR.
 *
 * Parallel workers get their leader's value. If the leader has none, they must learn that, too: its value is MISPLACED then.
 *
 * The library may be loaded in a parallel operation, such as an index build. PostgreSQL then drops the values of
 * placeholders, with a WARNING. We assign them again in the only way that is left: GUC_ACTION_SAVE from a source no higher
 * than PGC_S_OVERRIDE becomes the session's default and is never undone.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/guc_tables.h"
#include "utils/plancache.h"

#include "builtin_model.h"
#include "compat.h"
#include "settings.h"

/* A setting that got its value before the library was loaded. */
typedef struct Placeholder
{
    char       *name;
    char       *value;
    GucSource   source;
} Placeholder;

/* The value of distilsst.model if others than the server set it. No model has such a name. */
#define MISPLACED "(misplaced)"

static char *model_setting = NULL;
static GucSource misplaced = PGC_S_DEFAULT; /* who set it, other than the server */

static bool
is_placeholder(const struct config_generic *setting)
{
    return (setting->flags & GUC_CUSTOM_PLACEHOLDER) != 0 && pg_strncasecmp(setting->name, "distilsst.", 10) == 0 &&
        *((const struct config_string *) setting)->variable != NULL;
}

/* Not inlined: its caller has PG_TRY, and compilers would warn of clobbered variables. */
static pg_noinline List *
find_placeholders(void)
{
    List       *found = NIL;
    int         count;
    struct config_generic **settings = get_settings(&count);

    for (int i = 0; i < count; i++)
        if (is_placeholder(settings[i]))
        {
            Placeholder *p = palloc(sizeof(Placeholder));

            p->name = pstrdup(settings[i]->name);
            p->value = pstrdup(*((struct config_string *) settings[i])->variable);
            p->source = settings[i]->source;
            found = lappend(found, p);
        }
    return found;
}

static bool
is_misplaced(const Placeholder *p)
{
    return p->source > PGC_S_ARGV && pg_strcasecmp(p->name, "distilsst.model") == 0;
}

/*
 * Is this a parallel worker that has yet to get its leader's settings? It loads the leader's libraries first. Until then it has
 * its own settings, which only tell what to reset.
 */
static bool
awaits_settings(void)
{
    return IsParallelWorker() && !IsInParallelMode();
}

static void
look_for_misplaced(List *placeholders)
{
    ListCell   *lc;

    foreach(lc, placeholders)
    {
        const Placeholder *p = lfirst(lc);

        if (!is_misplaced(p))
            continue;
        if (p->source > PGC_S_OVERRIDE && !awaits_settings())
            ereport(ERROR,
                    (errcode(ERRCODE_CANT_CHANGE_RUNTIME_PARAM),
                     errmsg("parameter \"distilsst.model\" cannot be set in a session"),
                     errdetail("The server's configuration says which model answers, since stored answers are everybody's."),
                     errhint("Run RESET distilsst.model, or in a new session ALTER FUNCTION ... RESET distilsst.model where a "
                             "function sets it. To have another model answer, name it in the call.")));
        misplaced = p->source;
    }
}

static void
assign(const char *name, const char *value, GucSource source)
{
    (void) set_config_option(name, value, PGC_SIGHUP, Min(source, PGC_S_OVERRIDE), GUC_ACTION_SAVE, true, WARNING, false);
}

static void
assign_again(List *placeholders)
{
    ListCell   *lc;

    foreach(lc, placeholders)
    {
        const Placeholder *p = lfirst(lc);

        if (!is_misplaced(p))
            assign(p->name, p->value, p->source);
    }
}

/* Cached plans contain the old model's answers to constants. */
static void
assign_model(const char *newval, void *extra)
{
    (void) extra;
    if (model_setting && strcmp(newval, model_setting) != 0)
        ResetPlanCache();
}

static void
define_model(void)
{
    DefineCustomStringVariable("distilsst.model",
                               "Model that answers where a call of an sst2 function names none.",
                               "Name of a model that sst2_models() lists, or an absolute path.",
                               &model_setting,
                               SST_BUILTIN_MODEL,
                               PGC_SIGHUP,
                               GUC_SUPERUSER_ONLY,
                               NULL, assign_model, NULL);
}

void
sst_settings_define(void (*define) (void))
{
    List       *placeholders = find_placeholders();
    const int   client_level = client_min_messages;
    const int   log_level = log_min_messages;

    look_for_misplaced(placeholders);
    PG_TRY();
    {
        /* no WARNING about what we set again, or what raises an ERROR at use */
        if (IsInParallelMode() || IsParallelWorker() || misplaced != PGC_S_DEFAULT)
            client_min_messages = log_min_messages = ERROR;
        define_model();
        define();
    }
    PG_FINALLY();
    {
        client_min_messages = client_level;
        log_min_messages = log_level;
    }
    PG_END_TRY();
    if (IsInParallelMode())
        assign_again(placeholders);
    if (misplaced != PGC_S_DEFAULT && !awaits_settings())
        assign("distilsst.model", MISPLACED, PGC_S_OVERRIDE);
}

static const char *
misplaced_hint(void)
{
    switch (misplaced)
    {
        case PGC_S_GLOBAL:
            return "As the first statement of a session run ALTER ROLE ALL RESET distilsst.model, and connect anew.";
        case PGC_S_DATABASE:
            return "As the first statement of a session run ALTER DATABASE ... RESET distilsst.model, and connect anew.";
        case PGC_S_USER:
            return "As the first statement of a session run ALTER ROLE ... RESET distilsst.model, and connect anew.";
        case PGC_S_DATABASE_USER:
            return "As the first statement of a session run ALTER ROLE ... IN DATABASE ... RESET distilsst.model, "
                "and connect anew.";
        default:
            return "Remove distilsst.model from the connection's options (PGOPTIONS) and connect anew.";
    }
}

bool
sst_setting_is_misplaced(void)
{
    return strcmp(model_setting, MISPLACED) == 0;
}

const char *
sst_setting_model(void)
{
    if (sst_setting_is_misplaced())
        ereport(ERROR,
                (errcode(ERRCODE_CANT_CHANGE_RUNTIME_PARAM),
                 errmsg("parameter \"distilsst.model\" is set for a role, a database or a connection"),
                 errdetail("The server's configuration says which model answers, since stored answers are everybody's."),
                 errhint("%s", misplaced_hint())));
    return model_setting;
}

const char *
sst_setting_model_shown(void)
{
    return sst_shown_name(model_setting);
}

const char *
sst_shown_name(const char *model)
{
    const char *slash = last_dir_separator(model);

    return slash ? slash + 1 : model;
}
