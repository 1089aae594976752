/*
 * json.h - JSON files of a model's folder, in which we accept only what we know.
 *
 * "What is wrong" is a sentence without a full stop in a static buffer, which the next such sentence overwrites.
 */
#ifndef PACK_JSON_H
#define PACK_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

/* A key that an object may have. A missing one counts as null. */
typedef struct json_rule
{
    const char *key;
    const char *permitted;      /* its values, as a JSON array; NULL: any */
} json_rule;

/* What is wrong, formatted as by printf. */
extern const char *json_wrong(const char *format,...) __attribute__((format(printf, 1, 2)));

/* Is there no such file? */
extern bool json_is_absent(const char *path);

/*
 * The object in the file path, for json_decref; NULL and *wrong if there is none. All its numbers are reals: transformers writes
 * some that fit no integer.
 */
extern json_t *json_read(const char *path, const char **wrong);

/*
 * NULL if rules[0..count) has all keys of object and permits their values, or what is wrong. prefix: if object is the value of a
 * key of the file, this key and a dot.
 */
extern const char *json_check(const char *path, const char *prefix, const json_t *object, const json_rule *rules, size_t count);

#define JSON_CHECK(path, prefix, object, rules) json_check(path, prefix, object, rules, sizeof(rules) / sizeof((rules)[0]))

/* A whole number of 0 to UINT32_MAX. */
extern bool json_whole(const json_t *number, uint32_t *value);

#endif
