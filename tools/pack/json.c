/*
 * json.c - JSON files of a model's folder.
 */
#include "json.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FLAGS (JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL)

const char *
json_wrong(const char *format,...)
{
    static char message[2000];
    va_list     args;

    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    return message;
}

bool
json_is_absent(const char *path)
{
    return access(path, F_OK) != 0 && errno == ENOENT;
}

json_t *
json_read(const char *path, const char **wrong)
{
    json_error_t error;
    json_t     *json = json_load_file(path, FLAGS, &error);

    if (json_is_object(json))
        return json;
    if (!json && error.line > 0)
        *wrong = json_wrong("\"%s\", line %d: %s", path, error.line, error.text);
    else
        *wrong = json_wrong("\"%s\": %s", path, json ? "it holds no JSON object" : error.text);
    json_decref(json);
    return NULL;
}

/* Is value, or null where it is missing, one of the values in a JSON array? */
static bool
is_one_of(const json_t *value, const char *array)
{
    json_t     *values = json_loads(array, FLAGS, NULL);
    bool        found = false;

    for (size_t i = 0; i < json_array_size(values) && !found; i++)
        found = value ? json_equal(json_array_get(values, i), value) : json_is_null(json_array_get(values, i));
    json_decref(values);
    return found;
}

static const char *
not_permitted(const char *path, const char *prefix, const json_rule *rule, const json_t *value)
{
    char       *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(9));
    const char *wrong = json_wrong("\"%s\": \"%s%s\" is %.200s; known: %.*s", path, prefix, rule->key, text ? text : "missing",
                                   (int) strlen(rule->permitted) - 2, rule->permitted + 1);

    free(text);
    return wrong;
}

const char *
json_check(const char *path, const char *prefix, const json_t *object, const json_rule *rules, size_t count)
{
    const char *key;
    json_t     *value;

    if (!json_is_object(object))
        return json_wrong("\"%s\": \"%.*s\" is no JSON object", path, (int) strlen(prefix) - 1, prefix);
    json_object_foreach((json_t *) object, key, value)
    {
        size_t      i = 0;

        while (i < count && strcmp(rules[i].key, key) != 0)
            i++;
        if (i == count)
            return json_wrong("\"%s\": what \"%s%s\" asks for is not known", path, prefix, key);
    }
    for (size_t i = 0; i < count; i++)
    {
        value = json_object_get(object, rules[i].key);
        if (rules[i].permitted && !is_one_of(value, rules[i].permitted))
            return not_permitted(path, prefix, &rules[i], value);
    }
    return NULL;
}

bool
json_whole(const json_t *number, uint32_t *value)
{
    double      real = json_is_real(number) ? json_real_value(number) : -1;

    if (real < 0 || real > UINT32_MAX || real != (double) (uint32_t) real)
        return false;
    *value = (uint32_t) real;
    return true;
}
