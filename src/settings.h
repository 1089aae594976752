/*
 * settings.h - distilsst.model, which model answers where a call names none; and settings from before the library was loaded.
 */
#ifndef SST_SETTINGS_H
#define SST_SETTINGS_H

/*
 * Defines distilsst.model and, by calling define, all other settings, so that what was set before the library was loaded
 * holds also where that happens in a parallel operation. To be called once, by _PG_init. Raises an ERROR before it
 * defines any where the session has set distilsst.model; after a RESET the library can be loaded.
 */
extern void sst_settings_define(void (*define) (void));

/* Has a role, a database or a connection set distilsst.model, so that the server's own value is out of reach? */
extern bool sst_setting_is_misplaced(void);

/* distilsst.model: a name, or an absolute path. Raises an ERROR where it is misplaced. */
extern const char *sst_setting_model(void);

/* The same without an ERROR, and without the folders of a path, for everyone to see. */
extern const char *sst_setting_model_shown(void);

/* What to call a model, by name or path, in a message that anyone may read: without the folders. */
extern const char *sst_shown_name(const char *model);

#endif
