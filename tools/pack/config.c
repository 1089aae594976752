/*
 * config.c - read config.json and refuse what the forward pass or the tokenizer would get wrong.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

static char message[400];

/* A whole number of 1 to limit under key. */
static const char *
read_size(const json_t *json, const char *key, uint32_t limit, uint32_t *value)
{
    const json_t *number = json_object_get(json, key);

    if (!json_is_integer(number))
    {
        snprintf(message, sizeof(message), "\"%s\" is missing or not a whole number", key);
        return message;
    }
    if (json_integer_value(number) < 1 || json_integer_value(number) > limit)
    {
        snprintf(message, sizeof(message), "\"%s\" is %lld; it must be 1 to %u", key,
                 (long long) json_integer_value(number), limit);
        return message;
    }
    *value = (uint32_t) json_integer_value(number);
    return NULL;
}

static const char *
read_shape(const json_t *json, model_config *config)
{
    sst_shape  *shape = &config->shape;
    const struct
    {
        const char *key;
        uint32_t    limit;
        uint32_t   *value;
    }           sizes[] = {
        {"n_layers", SST_MAX_LAYERS, &shape->layers},
        {"dim", SST_MAX_HIDDEN, &shape->hidden},
        {"n_heads", SST_MAX_HIDDEN, &shape->heads},
        {"hidden_dim", SST_MAX_HIDDEN, &shape->ffn},
        {"vocab_size", SST_MAX_VOCAB, &shape->vocab},
        {"max_position_embeddings", SST_MAX_POSITIONS, &config->position_rows},
    };

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
    {
        const char *wrong = read_size(json, sizes[i].key, sizes[i].limit, sizes[i].value);

        if (wrong)
            return wrong;
    }
    if (shape->hidden % shape->heads != 0)
        return "\"dim\" is not a multiple of \"n_heads\"";
    shape->positions = config->position_rows;
    shape->head = SST_RELU;
    if (shape->positions < 2)
        return "\"max_position_embeddings\" must be at least 2";
    return NULL;
}

/* Is the value under key the text wanted? A missing key is not. */
static bool
says(const json_t *json, const char *key, const char *wanted)
{
    const char *text = json_string_value(json_object_get(json, key));

    return text && strcmp(text, wanted) == 0;
}

static const char *
check_architecture(const json_t *json)
{
    const json_t *architectures = json_object_get(json, "architectures");
    const char *first = json_string_value(json_array_get(architectures, 0));

    if (!says(json, "model_type", "distilbert"))
        return "\"model_type\" is not \"distilbert\"";
    if (!first || strcmp(first, "DistilBertForSequenceClassification") != 0)
    {
        snprintf(message, sizeof(message), "the architecture is %.100s; only DistilBertForSequenceClassification is known",
                 first ? first : "not given");
        return message;
    }
    if (!says(json, "activation", "gelu"))
        return "\"activation\" is not \"gelu\"";
    if (says(json, "problem_type", "multi_label_classification") || says(json, "problem_type", "regression"))
        return "\"problem_type\" is not single-label classification";
    return NULL;
}

/* The labels' names in id order; transformers leaves id2label out where it is LABEL_0 and LABEL_1. */
static const char *
read_labels(const json_t *json, model_config *config)
{
    const json_t *names = json_object_get(json, "id2label");
    size_t      count = names ? json_object_size(names) : 2;

    if (count < 2 || count > SST_MAX_LABELS)
    {
        snprintf(message, sizeof(message), "\"id2label\" has %zu labels; it must have 2 to %d", count, SST_MAX_LABELS);
        return message;
    }
    config->shape.labels = (uint32_t) count;
    config->labels = calloc(count, sizeof(char *));
    for (size_t i = 0; config->labels && i < count; i++)
    {
        char        key[32];
        const char *label;

        snprintf(key, sizeof(key), "LABEL_%zu", i);
        label = names ? json_string_value(json_object_get(names, key + strlen("LABEL_"))) : key;
        if (!label)
        {
            snprintf(message, sizeof(message), "\"id2label\" has no name for label %zu", i);
            return message;
        }
        config->labels[i] = strdup(label);
    }
    return NULL;
}

static const char *
read_name(const json_t *json, model_config *config)
{
    const char *path = json_string_value(json_object_get(json, "_name_or_path"));

    config->name_or_path = strdup(path ? path : "");
    return config->name_or_path ? NULL : "out of memory";
}

/* The tokenizer is that of an uncased BERT; a folder that says otherwise would be read wrongly. */
static const char *
check_tokenizer(const char *path)
{
    json_error_t error;
    json_t     *json;
    const char *wrong = NULL;

    if (access(path, F_OK) != 0)
        return NULL;
    json = json_load_file(path, 0, &error);
    if (!json)
        wrong = "tokenizer_config.json beside it is not JSON";
    else if (json_is_false(json_object_get(json, "do_lower_case")) ||
             json_is_false(json_object_get(json, "strip_accents")) ||
             json_is_false(json_object_get(json, "tokenize_chinese_chars")))
        wrong = "tokenizer_config.json beside it asks for a cased tokenizer, or one that keeps accents or does not split "
            "Chinese characters; only that of bert-base-uncased is known";
    json_decref(json);
    return wrong;
}

const char *
model_config_read(const char *config_path, const char *tokenizer_path, model_config *config)
{
    json_error_t error;
    json_t     *json = json_load_file(config_path, 0, &error);
    const char *wrong;

    if (!json)
    {
        snprintf(message, sizeof(message), "%s", error.text);
        return message;
    }
    wrong = check_architecture(json);
    if (!wrong)
        wrong = read_shape(json, config);
    if (!wrong)
        wrong = read_labels(json, config);
    if (!wrong)
        wrong = read_name(json, config);
    if (!wrong)
        wrong = check_tokenizer(tokenizer_path);
    json_decref(json);
    return wrong;
}

void
model_config_free(model_config *config)
{
    for (uint32_t i = 0; i < config->shape.labels; i++)
        free(config->labels[i]);
    free(config->labels);
    free(config->name_or_path);
}
