/*
 * config.c - read config.json.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A whole number of 1 to limit under key. */
static const char *
read_size(const char *path, const json_t *json, const char *key, uint32_t limit, uint32_t *value)
{
    const json_t *number = json_object_get(json, key);

    if (!json_is_real(number))
        return json_wrong("\"%s\": \"%s\" is missing or no number", path, key);
    if (!json_whole(number, value) || *value < 1 || *value > limit)
        return json_wrong("\"%s\": \"%s\" is %.9g; it must be a whole number of 1 to %u", path, key,
                          json_real_value(number), limit);
    return NULL;
}

static const char *
read_shape(const char *path, const json_t *json, model_config *config)
{
    const architecture *a = config->architecture;
    sst_shape  *shape = &config->shape;
    const struct
    {
        const char *key;        /* NULL: not in this architecture */
        uint32_t    limit;
        uint32_t   *value;
    }           sizes[] = {
        {a->n_layers, SST_MAX_LAYERS, &shape->layers},
        {a->dim, SST_MAX_HIDDEN, &shape->hidden},
        {a->n_heads, SST_MAX_HIDDEN, &shape->heads},
        {a->hidden_dim, SST_MAX_HIDDEN, &shape->ffn},
        {"vocab_size", SST_MAX_VOCAB, &shape->vocab},
        {"max_position_embeddings", SST_MAX_POSITIONS, &config->position_rows},
        {a->token_types, SST_MAX_VOCAB, &config->token_types},
    };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
    {
        const char *wrong = sizes[i].key ? read_size(path, json, sizes[i].key, sizes[i].limit, sizes[i].value) : NULL;

        if (wrong)
            return wrong;
    }
    if (shape->hidden % shape->heads != 0)
        return json_wrong("\"%s\": \"%s\" is not a multiple of \"%s\"", path, a->dim, a->n_heads);
    if (config->position_rows < 2)
        return json_wrong("\"%s\": \"max_position_embeddings\" must be at least 2", path);
    shape->positions = config->position_rows;
    shape->head = a->head;
    return NULL;
}

/* id2label, or NULL. */
static const json_t *
label_names(const json_t *json)
{
    const json_t *names = json_object_get(json, "id2label");

    return json_is_null(names) ? NULL : names;
}

/* How many labels there are. Besides id2label two other keys may say so; transformers omits all three if there are two. */
static const char *
count_labels(const char *path, const json_t *json, uint32_t *count)
{
    static const char *const keys[] = {"num_labels", "_num_labels"};
    const json_t *names = label_names(json);

    *count = names ? (uint32_t) json_object_size(names) : 2;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
    {
        const json_t *number = json_object_get(json, keys[i]);
        uint32_t    said;

        if (number && (!json_whole(number, &said) || said != *count))
            return json_wrong("\"%s\": \"%s\" is not %u, as \"id2label\" has it", path, keys[i], *count);
    }
    if (*count < 2 || *count > SST_MAX_LABELS)
        return json_wrong("\"%s\": \"id2label\" has %u labels; it must have 2 to %d", path, *count, SST_MAX_LABELS);
    return NULL;
}

/* The labels' names in id order. */
static const char *
read_labels(const char *path, const json_t *json, model_config *config)
{
    const json_t *names = label_names(json);
    uint32_t    count;
    const char *wrong = count_labels(path, json, &count);

    if (wrong)
        return wrong;
    config->labels = calloc(count, sizeof(char *));
    if (!config->labels)
        return "out of memory";
    config->shape.labels = count;
    for (uint32_t i = 0; i < count; i++)
    {
        char        key[32];
        const char *label;

        snprintf(key, sizeof(key), "LABEL_%u", i);
        label = names ? json_string_value(json_object_get(names, key + strlen("LABEL_"))) : key;
        if (!label)
            return json_wrong("\"%s\": \"id2label\" has no name for label %u", path, i);
        config->labels[i] = strdup(label);
        if (!config->labels[i])
            return "out of memory";
    }
    return NULL;
}

static const char *
read_names(const json_t *json, model_config *config)
{
    const char *name = json_string_value(json_object_get(json, "_name_or_path"));
    const char *class = json_string_value(json_object_get(json, "tokenizer_class"));

    config->name_or_path = strdup(name ? name : "");
    config->tokenizer_class = class ? strdup(class) : NULL;
    return config->name_or_path && (config->tokenizer_class || !class) ? NULL : "out of memory";
}

const char *
model_config_read(const char *path, model_config *config)
{
    const char *wrong = NULL;
    json_t     *json = json_read(path, &wrong);

    if (!json)
        return wrong;
    config->architecture = architecture_find(path, json, &wrong);
    if (config->architecture)
        wrong = architecture_check(config->architecture, path, json);
    if (!wrong)
        wrong = read_shape(path, json, config);
    if (!wrong)
        wrong = read_labels(path, json, config);
    if (!wrong)
        wrong = read_names(json, config);
    json_decref(json);
    return wrong;
}

void
model_config_free(model_config *config)
{
    for (uint32_t i = 0; config->labels && i < config->shape.labels; i++)
        free(config->labels[i]);
    free(config->labels);
    free(config->name_or_path);
    free(config->tokenizer_class);
}
