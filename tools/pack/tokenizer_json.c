/*
 * tokenizer_json.c - read tokenizer.json: one object for each of the library's steps.
 */
#include "tokenizer_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- special tokens -------------------------------------------------------------------------- */

int32_t
special_token_id(const sst_vocab *vocab, const char *text)
{
    const struct
    {
        const char *text;
        int32_t     id;
    }           special[] = {
        {"[PAD]", vocab->pad}, {"[UNK]", vocab->unk}, {"[CLS]", vocab->cls}, {"[SEP]", vocab->sep}, {"[MASK]", vocab->mask}
    };

    for (size_t i = 0; i < sizeof(special) / sizeof(special[0]); i++)
        if (strcmp(special[i].text, text) == 0)
            return special[i].id;
    return -1;
}

const char *
check_special_token(const char *path, const char *key, const json_t *token, const char *text)
{
    static const json_rule rules[] = {
        {"__type", "[null, \"AddedToken\"]"},
        {"content", NULL},
        {"id", NULL},
        {"lstrip", "[null, false]"},
        {"normalized", "[null, false]"},
        {"rstrip", "[null, false]"},
        {"single_word", "[null, false]"},
        {"special", "[null, true]"},
    };
    const char *content = json_string_value(json_is_object(token) ? json_object_get(token, "content") : token);
    char        prefix[100];

    if (!content || strcmp(content, text) != 0)
        return json_wrong("\"%s\": \"%.80s\" is %.100s; known: \"%s\"", path, key, content ? content : "no text", text);
    snprintf(prefix, sizeof(prefix), "%.80s.", key);
    return json_is_object(token) ? JSON_CHECK(path, prefix, token, rules) : NULL;
}

/* The list must have the five special tokens with their ids, and no other. */
static const char *
check_added_tokens(const char *path, const json_t *list, const sst_vocab *vocab)
{
    const size_t count = json_array_size(list);

    for (size_t i = 0; i < count; i++)
    {
        const json_t *token = json_array_get(list, i);
        const char *text = json_string_value(json_object_get(token, "content"));
        const int32_t its_id = special_token_id(vocab, text ? text : "");
        uint32_t    id;
        const char *wrong;

        if (its_id < 0)
            return json_wrong("\"%s\": \"added_tokens\" has \"%.100s\"; known: [PAD], [UNK], [CLS], [SEP], [MASK]", path,
                              text ? text : "");
        wrong = check_special_token(path, "added_tokens", token, text);
        if (wrong)
            return wrong;
        if (!json_whole(json_object_get(token, "id"), &id) || id != (uint32_t) its_id)
            return json_wrong("\"%s\": \"added_tokens\" gives %s another id than \"model.vocab\"", path, text);
        for (size_t j = 0; j < i; j++)
            if (json_equal(json_array_get(list, j), token))
                return json_wrong("\"%s\": \"added_tokens\" has %s twice", path, text);
    }
    if (count != 5)
        return json_wrong("\"%s\": \"added_tokens\" has not all of [PAD], [UNK], [CLS], [SEP], [MASK]", path);
    return NULL;
}

/* ---- vocabulary ------------------------------------------------------------------------------ */

/* pieces[id] of count ids, from the object that maps pieces to ids. *bytes: of all pieces, and one more for each. */
static const char *
order_pieces(const char *path, const json_t *vocab, const char **pieces, size_t count, size_t *bytes)
{
    const char *piece;
    json_t     *number;

    *bytes = 0;
    json_object_foreach((json_t *) vocab, piece, number)
    {
        uint32_t    id;

        if (!json_whole(number, &id) || id >= count)
            return json_wrong("\"%s\": \"model.vocab\" gives \"%.100s\" no id of 0 to %zu", path, piece, count - 1);
        if (pieces[id])
            return json_wrong("\"%s\": \"model.vocab\" gives the id %u twice", path, id);
        if (strpbrk(piece, "\n\r"))
            return json_wrong("\"%s\": \"model.vocab\" has the end of a line in piece %u", path, id);
        pieces[id] = piece;
        *bytes += strlen(piece) + 1;
    }
    return NULL;
}

static const char *
read_vocab(const char *path, const json_t *vocab, sst_vocab_table *table)
{
    const size_t count = json_object_size(vocab);
    const char **pieces = calloc(count + 1, sizeof(*pieces));
    char       *lines = NULL;
    size_t      bytes,
                at = 0;
    const char *wrong = pieces ? order_pieces(path, vocab, pieces, count, &bytes) : "out of memory";

    if (!wrong && !(lines = malloc(bytes + 1)))
        wrong = "out of memory";
    for (size_t id = 0; !wrong && id < count; id++)
        at += (size_t) sprintf(lines + at, "%s\n", pieces[id]);
    free(pieces);
    if (wrong)
        return wrong;
    wrong = sst_vocab_table_make(lines, at, table);
    return wrong ? json_wrong("\"%s\": \"model.vocab\": %s", path, wrong) : NULL;
}

/* ---- the steps ------------------------------------------------------------------------------- */

static const char *
check_model(const char *path, const json_t *model)
{
    static const json_rule rules[] = {
        {"type", "[null, \"WordPiece\"]"},      /* missing until 2021 */
        {"unk_token", "[\"[UNK]\"]"},
        {"continuing_subword_prefix", "[\"##\"]"},
        {"max_input_chars_per_word", "[100]"},
        {"vocab", NULL},
    };
    const char *wrong = JSON_CHECK(path, "model.", model, rules);

    if (!wrong && json_object_size(json_object_get(model, "vocab")) == 0)
        wrong = json_wrong("\"%s\": \"model.vocab\" is empty or no JSON object", path);
    return wrong;
}

static const char *
read_normalizer(const char *path, const json_t *json, sst_vocab_table *table)
{
    static const json_rule rules[] = {
        {"type", "[\"BertNormalizer\"]"},
        {"clean_text", "[true]"},
        {"handle_chinese_chars", "[true, false]"},
        {"strip_accents", "[null, true, false]"},
        {"lowercase", "[true, false]"},
    };
    const char *wrong = JSON_CHECK(path, "normalizer.", json, rules);
    const json_t *strip = json_object_get(json, "strip_accents");
    sst_normalizer normalizer = {.lowercase = json_is_true(json_object_get(json, "lowercase"))};

    if (wrong)
        return wrong;
    normalizer.strip_accents = json_is_boolean(strip) ? json_is_true(strip) : normalizer.lowercase;
    normalizer.split_chinese = json_is_true(json_object_get(json, "handle_chinese_chars"));
    wrong = sst_vocab_table_normalizer(table, normalizer);
    return wrong ? json_wrong("\"%s\": %s", path, wrong) : NULL;
}

/* [CLS] before a text and [SEP] behind it, with the vocabulary's ids. */
static const char *
check_post_processor(const char *path, const json_t *json, const sst_vocab *vocab)
{
    char        sep[50],
                cls[50],
                special[200];
    const json_rule bert[] = {
        {"type", "[\"BertProcessing\"]"},
        {"sep", sep},
        {"cls", cls},
    };
    const json_rule template[] = {
        {"type", "[\"TemplateProcessing\"]"},
        {"single", "[[{\"SpecialToken\": {\"id\": \"[CLS]\", \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}},"
            " {\"SpecialToken\": {\"id\": \"[SEP]\", \"type_id\": 0}}]]"},
        {"pair", NULL},
        {"special_tokens", special},
    };
    const char *type = json_string_value(json_object_get(json, "type"));

    snprintf(sep, sizeof(sep), "[[\"[SEP]\", %d]]", vocab->sep);
    snprintf(cls, sizeof(cls), "[[\"[CLS]\", %d]]", vocab->cls);
    snprintf(special, sizeof(special), "[{\"[CLS]\": {\"id\": \"[CLS]\", \"ids\": [%d], \"tokens\": [\"[CLS]\"]},"
             " \"[SEP]\": {\"id\": \"[SEP]\", \"ids\": [%d], \"tokens\": [\"[SEP]\"]}}]", vocab->cls, vocab->sep);
    if (type && strcmp(type, "BertProcessing") == 0)
        return JSON_CHECK(path, "post_processor.", json, bert);
    return JSON_CHECK(path, "post_processor.", json, template);
}

/* tokenizer_config.json decides about truncation and padding, but neither may be at a text's beginning. */
static const char *
check_ends(const char *path, const json_t *json)
{
    static const json_rule truncation[] = {
        {"direction", "[null, \"Right\"]"}, {"max_length", NULL}, {"strategy", NULL}, {"stride", NULL},
    };
    static const json_rule padding[] = {
        {"direction", "[null, \"Right\"]"}, {"pad_id", NULL}, {"pad_token", NULL}, {"pad_to_multiple_of", NULL},
        {"pad_type_id", NULL}, {"strategy", NULL},
    };
    const json_t *cut = json_object_get(json, "truncation");
    const json_t *filled = json_object_get(json, "padding");
    const char *wrong = NULL;

    if (cut && !json_is_null(cut))
        wrong = JSON_CHECK(path, "truncation.", cut, truncation);
    if (!wrong && filled && !json_is_null(filled))
        wrong = JSON_CHECK(path, "padding.", filled, padding);
    return wrong;
}

static const char *
read_tokenizer(const char *path, const json_t *json, sst_vocab_table *table)
{
    static const json_rule rules[] = {
        {"version", "[\"1.0\"]"},
        {"truncation", NULL},
        {"padding", NULL},
        {"added_tokens", NULL},
        {"normalizer", NULL},
        {"pre_tokenizer", "[{\"type\": \"BertPreTokenizer\"}]"},
        {"post_processor", NULL},
        {"decoder", NULL},
        {"model", NULL},
    };
    const char *wrong = JSON_CHECK(path, "", json, rules);

    if (!wrong)
        wrong = check_ends(path, json);
    if (!wrong)
        wrong = check_model(path, json_object_get(json, "model"));
    if (!wrong)
        wrong = read_vocab(path, json_object_get(json_object_get(json, "model"), "vocab"), table);
    if (wrong)
        return wrong;
    wrong = read_normalizer(path, json_object_get(json, "normalizer"), table);
    if (!wrong)
        wrong = check_added_tokens(path, json_object_get(json, "added_tokens"), &table->vocab);
    if (!wrong)
        wrong = check_post_processor(path, json_object_get(json, "post_processor"), &table->vocab);
    if (wrong)
        sst_vocab_table_free(table);
    return wrong;
}

const char *
tokenizer_json_read(const char *path, sst_vocab_table *table)
{
    const char *wrong = NULL;
    json_t     *json = json_read(path, &wrong);

    if (json)
        wrong = read_tokenizer(path, json, table);
    json_decref(json);
    return wrong;
}
