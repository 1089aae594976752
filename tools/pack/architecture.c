/*
 * architecture.c - DistilBertForSequenceClassification and BertForSequenceClassification.
 *
 * These are all keys of config.json that transformers has written for the two since 2019. Those that may have any value do not
 * affect logits, labels or scores, or are read elsewhere. A missing key has the default of transformers.
 */
#include "architecture.h"

#include <stdlib.h>
#include <string.h>

#include "tokenizer_files.h"

static const json_rule common_rules[] = {
    {"_attn_implementation_autoset", NULL},
    {"_name_or_path", NULL},
    {"_num_labels", NULL},
    {"add_cross_attention", "[null, false]"},
    {"bos_token_id", NULL},
    {"chunk_size_feed_forward", "[null, 0]"},
    {"cross_attention_hidden_size", NULL},
    {"do_sample", NULL},
    {"dtype", "[null, \"float32\", \"float16\", \"bfloat16\"]"},
    {"eos_token_id", NULL},
    {"eos_token_ids", NULL},
    {"finetuning_task", NULL},
    {"function_to_apply", "[null, \"softmax\"]"},
    {"gradient_checkpointing", NULL},
    {"id2label", NULL},
    {"initializer_range", NULL},
    {"is_decoder", "[null, false]"},
    {"is_encoder_decoder", "[null, false]"},
    {"label2id", NULL},
    {"length_penalty", NULL},
    {"max_length", NULL},
    {"max_position_embeddings", NULL},
    {"min_length", NULL},
    {"num_beams", NULL},
    {"num_labels", NULL},
    {"num_return_sequences", NULL},
    {"output_attentions", NULL},
    {"output_hidden_states", NULL},
    {"output_past", NULL},
    {"pad_token_id", NULL},
    {"padding", NULL},
    {"problem_type", "[null, \"single_label_classification\"]"},
    {"pruned_heads", "[null, {}]"},
    {"repetition_penalty", NULL},
    {"return_dict", NULL},
    {"sep_token_id", NULL},
    {"temperature", NULL},
    {"tie_encoder_decoder", NULL},
    {"tie_weights_", NULL},
    {"tie_word_embeddings", NULL},
    {"tokenizer_class", TOKENIZER_CLASSES},
    {"top_k", NULL},
    {"top_p", NULL},
    {"torch_dtype", "[null, \"float32\", \"float16\", \"bfloat16\"]"},
    {"torchscript", NULL},
    {"transformers_version", NULL},
    {"use_bfloat16", "[null, false]"},
    {"use_cache", NULL},
    {"vocab_size", NULL},
};

static const json_rule distilbert_rules[] = {
    {"activation", "[null, \"gelu\"]"},
    {"architectures", "[[\"DistilBertForSequenceClassification\"]]"},
    {"attention_dropout", NULL},
    {"dim", NULL},
    {"dropout", NULL},
    {"hidden_dim", NULL},
    {"model_type", NULL},
    {"n_heads", NULL},
    {"n_layers", NULL},
    {"qa_dropout", NULL},
    {"seq_classif_dropout", NULL},
    {"sinusoidal_pos_embds", NULL},     /* of the first values only: they are read from the weights */
};

static const json_rule bert_rules[] = {
    {"architectures", "[[\"BertForSequenceClassification\"]]"},
    {"attention_probs_dropout_prob", NULL},
    {"classifier_dropout", NULL},
    {"directionality", NULL},
    {"hidden_act", "[null, \"gelu\"]"},
    {"hidden_dropout_prob", NULL},
    {"hidden_size", NULL},
    {"intermediate_size", NULL},
    {"layer_norm_eps", "[null, 1e-12]"},
    {"model_type", NULL},
    {"num_attention_heads", NULL},
    {"num_hidden_layers", NULL},
    {"pooler_fc_size", NULL},   /* these five were Google's, for another pooler */
    {"pooler_num_attention_heads", NULL},
    {"pooler_num_fc_layers", NULL},
    {"pooler_size_per_head", NULL},
    {"pooler_type", NULL},
    {"position_embedding_type", "[null, \"absolute\"]"},
    {"type_vocab_size", NULL},
};

#define RULES(list) .rules = list, .rule_count = sizeof(list) / sizeof((list)[0])

static const architecture architectures[] = {
    {
        .model_type = "distilbert",
        .n_layers = "n_layers",
        .dim = "dim",
        .n_heads = "n_heads",
        .hidden_dim = "hidden_dim",
        RULES(distilbert_rules),
        .head = SST_RELU,
        .embeddings = "distilbert.embeddings",
        .layers = "distilbert.transformer.layer",
        .q = "attention.q_lin",
        .k = "attention.k_lin",
        .v = "attention.v_lin",
        .out = "attention.out_lin",
        .sa_norm = "sa_layer_norm",
        .lin1 = "ffn.lin1",
        .lin2 = "ffn.lin2",
        .out_norm = "output_layer_norm",
        .pre_classifier = "pre_classifier",
    },
    {
        .model_type = "bert",
        .n_layers = "num_hidden_layers",
        .dim = "hidden_size",
        .n_heads = "num_attention_heads",
        .hidden_dim = "intermediate_size",
        .token_types = "type_vocab_size",
        RULES(bert_rules),
        .head = SST_TANH,
        .embeddings = "bert.embeddings",
        .layers = "bert.encoder.layer",
        .q = "attention.self.query",
        .k = "attention.self.key",
        .v = "attention.self.value",
        .out = "attention.output.dense",
        .sa_norm = "attention.output.LayerNorm",
        .lin1 = "intermediate.dense",
        .lin2 = "output.dense",
        .out_norm = "output.LayerNorm",
        .pre_classifier = "bert.pooler.dense",
    },
};

const architecture *
architecture_find(const char *path, const json_t *config, const char **wrong)
{
    const char *model_type = json_string_value(json_object_get(config, "model_type"));

    for (size_t i = 0; model_type && i < sizeof(architectures) / sizeof(architectures[0]); i++)
        if (strcmp(architectures[i].model_type, model_type) == 0)
            return &architectures[i];
    *wrong = json_wrong("\"%s\": \"model_type\" is %.100s; known: \"distilbert\", \"bert\"", path,
                        model_type ? model_type : "missing");
    return NULL;
}

const char *
architecture_check(const architecture *a, const char *path, const json_t *config)
{
    const size_t common = sizeof(common_rules) / sizeof(common_rules[0]);
    json_rule  *rules = malloc(sizeof(common_rules) + a->rule_count * sizeof(json_rule));
    const char *wrong;

    if (!rules)
        return "out of memory";
    memcpy(rules, common_rules, sizeof(common_rules));
    memcpy(rules + common, a->rules, a->rule_count * sizeof(json_rule));
    wrong = json_check(path, "", config, rules, common + a->rule_count);
    free(rules);
    return wrong;
}
