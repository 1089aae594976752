/*
 * tokenizer_files.c - vocab.txt, tokenizer.json, tokenizer_config.json, and what older releases wrote beside them.
 *
 * transformers takes the vocabulary from tokenizer.json, but the normalizer from tokenizer_config.json and the defaults of the
 * class that it names. The library tokenizers, and others, take both from tokenizer.json. If the two differ, nobody knows which
 * the model was trained with.
 */
#include "tokenizer_files.h"

#include <stdio.h>
#include <string.h>

#include "json.h"
#include "tokenizer_json.h"

static const json_rule config_rules[] = {
    {"added_tokens_decoder", NULL},
    {"additional_special_tokens", "[null, []]"},
    {"backend", "[null, \"tokenizers\"]"},
    {"bos_token", "[null]"},
    {"clean_up_tokenization_spaces", NULL},     /* of the way back, to texts */
    {"cls_token", NULL},
    {"do_basic_tokenize", "[null, true]"},
    {"do_lower_case", "[null, true, false]"},
    {"eos_token", "[null]"},
    {"extra_special_tokens", "[null, [], {}]"},
    {"full_tokenizer_file", NULL},
    {"init_inputs", "[null, []]"},
    {"is_local", NULL},
    {"local_files_only", NULL},
    {"mask_token", NULL},
    {"max_len", NULL},
    {"max_length", NULL},       /* this and the next are for calls that ask for them */
    {"stride", NULL},
    {"model_input_names", NULL},
    {"model_max_length", NULL},
    {"name_or_path", NULL},
    {"never_split", "[null, []]"},
    {"pad_to_multiple_of", NULL},
    {"pad_token", NULL},
    {"pad_token_type_id", NULL},
    {"padding_side", "[null, \"right\"]"},
    {"processor_class", "[null]"},
    {"sep_token", NULL},
    {"special_tokens_map_file", NULL},
    {"split_special_tokens", "[null, false]"},
    {"strip_accents", "[null, true, false]"},
    {"tokenize_chinese_chars", "[null, true, false]"},
    {"tokenizer_class", TOKENIZER_CLASSES},
    {"tokenizer_file", NULL},
    {"truncation_side", "[null, \"right\"]"},
    {"truncation_strategy", NULL},
    {"unk_token", NULL},
    {"use_fast", NULL},
};

/* ---- special tokens -------------------------------------------------------------------------- */

/* The names that five tokens go by, in tokenizer_config.json and special_tokens_map.json. */
static const char *
check_named_tokens(const char *path, const json_t *json)
{
    static const char *const names[][2] = {
        {"pad_token", "[PAD]"}, {"unk_token", "[UNK]"}, {"cls_token", "[CLS]"}, {"sep_token", "[SEP]"}, {"mask_token", "[MASK]"}
    };
    const char *wrong = NULL;

    for (size_t i = 0; !wrong && i < sizeof(names) / sizeof(names[0]); i++)
    {
        const json_t *token = json_object_get(json, names[i][0]);

        if (token)
            wrong = check_special_token(path, names[i][0], token, names[i][1]);
    }
    return wrong;
}

/* Tokens by their ids: no others than the five may be there. */
static const char *
check_added_tokens_decoder(const char *path, const json_t *tokens, const sst_vocab *vocab)
{
    const char *id;
    json_t     *token;

    json_object_foreach((json_t *) tokens, id, token)
    {
        const char *text = json_string_value(json_object_get(token, "content"));
        char        its_id[16];
        const char *wrong;

        snprintf(its_id, sizeof(its_id), "%d", special_token_id(vocab, text ? text : ""));
        if (strcmp(id, its_id) != 0)
            return json_wrong("\"%s\": \"added_tokens_decoder\" has \"%.100s\" with the id %.20s; "
                              "known: [PAD], [UNK], [CLS], [SEP], [MASK] with their ids in the vocabulary", path,
                              text ? text : "", id);
        wrong = check_special_token(path, "added_tokens_decoder", token, text);
        if (wrong)
            return wrong;
    }
    return NULL;
}

/* The two files that releases before 5 wrote. */
static const char *
check_older_files(const tokenizer_files *files)
{
    static const json_rule rules[] = {
        {"additional_special_tokens", "[null, []]"}, {"cls_token", NULL}, {"mask_token", NULL}, {"pad_token", NULL},
        {"sep_token", NULL}, {"unk_token", NULL},
    };
    const char *wrong = NULL;
    json_t     *json;

    if (!json_is_absent(files->special_tokens_map))
    {
        json = json_read(files->special_tokens_map, &wrong);
        if (json)
            wrong = JSON_CHECK(files->special_tokens_map, "", json, rules);
        if (json && !wrong)
            wrong = check_named_tokens(files->special_tokens_map, json);
        json_decref(json);
    }
    if (!wrong && !json_is_absent(files->added_tokens))
    {
        json = json_read(files->added_tokens, &wrong);
        if (json)
            wrong = json_check(files->added_tokens, "", json, rules, 0);
        json_decref(json);
    }
    return wrong;
}

/* ---- how texts are read ---------------------------------------------------------------------- */

/* The length at which texts are truncated. One that is not set, or is beyond all positions, is no limit. */
static const char *
read_max_length(const char *path, const json_t *config, uint32_t *positions)
{
    const char *key = json_object_get(config, "model_max_length") ? "model_max_length" : "max_len";
    const json_t *number = json_object_get(config, key);
    uint32_t    length;

    if (!number || json_is_null(number) || (json_is_real(number) && json_real_value(number) >= *positions))
        return NULL;
    if (!json_whole(number, &length) || length < 2)
        return json_wrong("\"%s\": \"%s\" is not a whole number of at least 2", path, key);
    *positions = length;
    return NULL;
}

/* Does the class take everything from tokenizer.json? */
static bool
takes_all_from_json(const json_t *config, const char *config_class)
{
    const char *class = json_string_value(json_object_get(config, "tokenizer_class"));

    class = class ? class : config_class;
    return class && (strcmp(class, "PreTrainedTokenizerFast") == 0 || strcmp(class, "TokenizersBackend") == 0);
}

/* The value in tokenizer_config.json, or else by_default. */
static bool
is_set(const json_t *config, const char *key, bool by_default)
{
    const json_t *value = json_object_get(config, key);

    return json_is_boolean(value) ? json_is_true(value) : by_default;
}

/* The values in tokenizer_config.json, or else in tokenizer.json, or else an uncased BERT's. */
static sst_normalizer
normalizer_of(const json_t *config, const sst_normalizer *json)
{
    sst_normalizer n = {.lowercase = is_set(config, "do_lower_case", json ? json->lowercase : true)};

    n.strip_accents = is_set(config, "strip_accents", json ? json->strip_accents : n.lowercase);
    n.split_chinese = is_set(config, "tokenize_chinese_chars", json ? json->split_chinese : true);
    return n;
}

static const char *
compare_normalizers(const tokenizer_files *files, const sst_normalizer *json, const sst_normalizer *config)
{
    const struct
    {
        const char *json_key;
        const char *config_key;
        uint32_t    json;
        uint32_t    config;
    }           settings[] = {
        {"lowercase", "do_lower_case", json->lowercase, config->lowercase},
        {"strip_accents", "strip_accents", json->strip_accents, config->strip_accents},
        {"handle_chinese_chars", "tokenize_chinese_chars", json->split_chinese, config->split_chinese},
    };

    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
        if (settings[i].json != settings[i].config)
            return json_wrong("\"%s\": \"normalizer.%s\" comes to %s, but \"%s\" in tokenizer_config.json, or its default, to %s",
                              files->tokenizer_json, settings[i].json_key, settings[i].json ? "true" : "false",
                              settings[i].config_key, settings[i].config ? "true" : "false");
    return NULL;
}

/* ---- the vocabulary -------------------------------------------------------------------------- */

static const char *
read_vocab_txt(const tokenizer_files *files, sst_vocab_table *table)
{
    const char *wrong = sst_vocab_table_read(files->vocab_txt, table);

    return wrong ? json_wrong("\"%s\": %s", files->vocab_txt, wrong) : NULL;
}

/* If both files are there, they must have the same pieces. */
static const char *
compare_vocabularies(const tokenizer_files *files, const sst_vocab *json)
{
    sst_vocab_table lines;
    const char *wrong = read_vocab_txt(files, &lines);

    if (wrong)
        return wrong;
    if (lines.vocab.size != json->size)
        wrong = json_wrong("\"%s\" has %u lines, but tokenizer.json %u pieces", files->vocab_txt, lines.vocab.size, json->size);
    for (uint32_t id = 0; !wrong && id < json->size; id++)
    {
        size_t      line_len,
                    len;
        const char *line = sst_piece(&lines.vocab, (int32_t) id, &line_len);
        const char *piece = sst_piece(json, (int32_t) id, &len);

        if (line_len != len || memcmp(line, piece, len) != 0)
            wrong = json_wrong("\"%s\" has \"%.*s\" for piece %u, but tokenizer.json \"%.*s\"", files->vocab_txt, (int) line_len,
                               line, id, (int) len, piece);
    }
    sst_vocab_table_free(&lines);
    return wrong;
}

/* The table of tokenizer.json, whose normalizer must equal that of config. */
static const char *
read_json(const tokenizer_files *files, const json_t *config, bool takes_all, sst_vocab_table *table)
{
    const char *wrong = tokenizer_json_read(files->tokenizer_json, table);
    sst_normalizer normalizer;

    if (wrong)
        return wrong;
    normalizer = normalizer_of(config, takes_all ? &table->vocab.normalizer : NULL);
    wrong = compare_normalizers(files, &table->vocab.normalizer, &normalizer);
    if (!wrong && !json_is_absent(files->vocab_txt))
        wrong = compare_vocabularies(files, &table->vocab);
    if (wrong)
        sst_vocab_table_free(table);
    return wrong;
}

static const char *
read_lines(const tokenizer_files *files, const json_t *config, bool takes_all, sst_vocab_table *table)
{
    const char *wrong;

    if (takes_all)
        return json_wrong("\"%s\" is missing, which the tokenizer's class reads", files->tokenizer_json);
    if (json_is_absent(files->vocab_txt))
        return json_wrong("\"%s\" and \"%s\" are missing", files->tokenizer_json, files->vocab_txt);
    wrong = read_vocab_txt(files, table);
    if (wrong)
        return wrong;
    wrong = sst_vocab_table_normalizer(table, normalizer_of(config, NULL));
    if (wrong)
    {
        sst_vocab_table_free(table);
        return json_wrong("\"%s\": %s", files->vocab_txt, wrong);
    }
    return NULL;
}

/* ---- the folder ------------------------------------------------------------------------------ */

static const char *
read_tokenizer(const tokenizer_files *files, const json_t *config, const char *config_class, sst_vocab_table *table,
               uint32_t *positions)
{
    const bool  takes_all = takes_all_from_json(config, config_class);
    const char *wrong = config ? JSON_CHECK(files->tokenizer_config, "", config, config_rules) : NULL;

    if (!wrong && config)
        wrong = check_named_tokens(files->tokenizer_config, config);
    if (!wrong)
        wrong = read_max_length(files->tokenizer_config, config, positions);
    if (!wrong)
        wrong = check_older_files(files);
    if (wrong)
        return wrong;
    if (json_is_absent(files->tokenizer_json))
        wrong = read_lines(files, config, takes_all, table);
    else
        wrong = read_json(files, config, takes_all, table);
    if (wrong)
        return wrong;
    wrong = check_added_tokens_decoder(files->tokenizer_config, json_object_get(config, "added_tokens_decoder"), &table->vocab);
    if (wrong)
        sst_vocab_table_free(table);
    return wrong;
}

const char *
tokenizer_files_read(const tokenizer_files *files, const char *tokenizer_class, sst_vocab_table *table, uint32_t *positions)
{
    json_t     *config = NULL;
    const char *wrong = NULL;

    if (!json_is_absent(files->tokenizer_config))
        config = json_read(files->tokenizer_config, &wrong);
    if (!wrong)
        wrong = read_tokenizer(files, config, tokenizer_class, table, positions);
    json_decref(config);
    return wrong;
}
