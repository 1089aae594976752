/*
 * models.h - the models that this session has open: the one door to them.
 *
 * A model's name, as in "builtin-283d95b8", ends with the first digits of its fingerprint: it means one content, on every
 * host, for ever.
 */
#ifndef SST_MODELS_H
#define SST_MODELS_H

#include "nodes/pg_list.h"

#include "core/sst.h"
#include "mapping.h"

struct Classifier;

typedef struct OpenModel
{
    MemoryContext context;      /* of this struct and all that is made for the model; its deletion closes the mapping */
    MemoryContextCallback close;
    const char *asked;          /* the name or absolute path that opened it */
    Mapping     map;
    sst_model   model;          /* views into the mapping */
    uint64      last_use;
    struct Classifier *classifier;  /* in context; NULL until needed */
} OpenModel;

/* Why a file cannot be used as a model. */
typedef struct ModelProblem
{
    const char *text;           /* a clause; NULL: no problem */
    int         error_number;   /* errno of the system call that failed, or 0 */
    bool        misnamed;       /* the file is another model's */
} ModelProblem;

/*
 * The model of this name, or the server's if name is NULL. Opens and checks it unless it is open. At most four stay open; the
 * least recently used one gives way. Raises an ERROR if this is not a name, if there is no such model, if it cannot be used, or
 * if distilsst.model is set in the wrong place. The pointer is good until the next call or an ERROR.
 */
extern OpenModel *sst_models_open(const char *name);

/*
 * Open a model apart from those, in a memory context below the current one. *problem says whether it can be used. Delete its
 * context to close it.
 */
extern OpenModel *sst_models_inspect(const char *name, ModelProblem *problem);

/*
 * The folders (char *) of installed models: "distilsst" in the server's share directory and, since PostgreSQL 18, in each
 * directory of extension_control_path, which only superusers set. A name means one content, in whichever folder it is.
 */
extern List *sst_models_folders(void);

/* The path of the model's file, or NULL if the user may not see it. */
extern const char *sst_models_file(const OpenModel *m);

/* The name of the server's model, which everyone may see. Opens nothing: until a path is open, this is its file's name. */
extern const char *sst_models_server_name(void);

/* Raises an ERROR for a status of the core that is not SST_OK, about this model. */
extern void sst_models_check(OpenModel *m, sst_status status);

/* How many word embeddings differ from their checksums, which opening a model does not check. Reads all of them. */
extern uint32 sst_models_damaged_words(const sst_model *model);

/* CHECK_FOR_INTERRUPTS() for the core. */
extern const sst_tick sst_interrupts;

#endif
