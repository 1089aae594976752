/*
 * settings.h - distilsst.model, the model that answers a call that names none; and settings made before the library was loaded.
 */
#ifndef SST_SETTINGS_H
#define SST_SETTINGS_H

/*
 * Defines distilsst.model and, by calling define, all other settings. What was set before the library was loaded keeps its value,
 * even if the library is loaded in a parallel operation. _PG_init calls this once. If the session has set distilsst.model, it
 * raises an ERROR before it defines anything; after a RESET the library can be loaded.
 */
extern void sst_settings_define(void (*define) (void));

/* Does a role, a database or a connection set distilsst.model, and so hide the server's own value? */
extern bool sst_setting_is_misplaced(void);

/* distilsst.model: a name or an absolute path. Raises an ERROR if it is misplaced. */
extern const char *sst_setting_model(void);

/* The same without an ERROR, and without a path's folders: everyone may see it. */
extern const char *sst_setting_model_shown(void);

/* A model's name or path, without the folders: everyone may see it. */
extern const char *sst_shown_name(const char *model);

#endif
