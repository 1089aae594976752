"""A classifier on a pretrained encoder."""
import os

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import (AutoConfig, AutoTokenizer, BertModel, DistilBertConfig, DistilBertForMaskedLM,
                          DistilBertForSequenceClassification)
from transformers.models.distilbert.modeling_distilbert import TransformerBlock

PARTS = [("encoder.layer", "transformer.layer"),
         ("attention.self.query", "attention.q_lin"), ("attention.self.key", "attention.k_lin"),
         ("attention.self.value", "attention.v_lin"), ("attention.output.dense", "attention.out_lin"),
         ("attention.output.LayerNorm", "sa_layer_norm"), ("intermediate.dense", "ffn.lin1"),
         ("output.dense", "ffn.lin2"), ("output.LayerNorm", "output_layer_norm")]


def distilbert_name(name):
    for bert, distilbert in PARTS:
        name = name.replace(bert, distilbert)
    return name


def from_bert(folder, config, labels):
    """BERT's encoder with a new head.  Every token is of type 0 here, so that this type's vector can be
    part of each position's, and BERT without types is a DistilBERT."""
    if config.hidden_act != "gelu" or config.layer_norm_eps != 1e-12:
        raise SystemExit("%s: a BERT with hidden_act %s and layer_norm_eps %g, where a DistilBERT has gelu and 1e-12"
                         % (folder, config.hidden_act, config.layer_norm_eps))
    state = BertModel.from_pretrained(folder, add_pooling_layer=False, dtype=torch.float32).state_dict()
    state["embeddings.position_embeddings.weight"] += state.pop("embeddings.token_type_embeddings.weight")[0]
    model = DistilBertForSequenceClassification(DistilBertConfig(
        vocab_size=config.vocab_size, max_position_embeddings=config.max_position_embeddings,
        n_layers=config.num_hidden_layers, n_heads=config.num_attention_heads, dim=config.hidden_size,
        hidden_dim=config.intermediate_size, pad_token_id=config.pad_token_id, **labels))
    model.distilbert.load_state_dict({distilbert_name(k): v for k, v in state.items()})
    return model


def classifier(folder, names):
    """The encoder of a DistilBERT or BERT, in a folder or of a name on the hub -> a
    DistilBertForSequenceClassification with these labels, and its tokenizer.  A head that has as
    many labels stays, otherwise there is a new one."""
    config = AutoConfig.from_pretrained(folder)
    labels = {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}
    if config.model_type == "bert":
        model = from_bert(folder, config, labels)
    elif config.model_type == "distilbert":
        model = DistilBertForSequenceClassification.from_pretrained(
            folder, ignore_mismatched_sizes=True, dtype=torch.float32, **labels)
    else:
        raise SystemExit("%s: a model of type %s, where distilbert or bert is wanted" % (folder, config.model_type))
    model.distilbert.transformer.layer[-1].__class__ = FirstTokenBlock
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.model_max_length = min(tokenizer.model_max_length, model.config.max_position_embeddings)
    return model.to("cuda" if torch.cuda.is_available() else "cpu"), tokenizer


def masked_language_model(folder):
    """The encoder with a new head that says which word piece stands at a place, by the word vectors themselves"""
    encoder, tokenizer = classifier(folder, ["unused", "labels"])
    model = DistilBertForMaskedLM(encoder.config).to(encoder.device)
    model.distilbert.load_state_dict(encoder.distilbert.state_dict())
    tune_gently(model)
    return model, tokenizer


class FirstTokenBlock(TransformerBlock):
    """A last layer that computes only [CLS], which is all that the head reads: exact, and with six layers a
    seventh less work."""

    def forward(self, hidden_states, attention_mask=None, **_):
        attention, first = self.attention, hidden_states[:, :1]

        def split(x):
            return x.unflatten(-1, (attention.n_heads, -1)).transpose(1, 2)

        context = scaled_dot_product_attention(
            split(attention.q_lin(first)), split(attention.k_lin(hidden_states)), split(attention.v_lin(hidden_states)),
            None if attention_mask is None else attention_mask[:, :, :1],
            attention.dropout.p if self.training else 0.0)
        first = self.sa_layer_norm(attention.out_lin(context.transpose(1, 2).flatten(2)) + first)
        return self.output_layer_norm(self.ffn(first) + first)


def tune_gently(model):
    """Settings that need not be searched for: dropout of a tenth, none in attention"""
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0 if name.endswith("attention.dropout") else 0.1


def keep_words(model):
    """Freezes the word vectors: half the weights of a small model, which few rows can teach little"""
    model.distilbert.embeddings.word_embeddings.weight.requires_grad = False


@torch.no_grad()
def round_weights(model):
    """In F16, and what int8 rounds when a model is packed rounded in the same way: 127 steps either way of a row's largest.
    F16 moves no weight to another step, so that the model has the same weights in int8 and in fp32."""
    for name, weight in model.named_parameters():
        if weight.dim() == 2 and ("transformer.layer" in name or "word_embeddings" in name):
            step = weight.abs().amax(1, keepdim=True).clamp(min=1e-30) / 127
            weight.copy_((weight / step).round() * step)
    model.half()


def export(model, tokenizer, folder):
    """save_pretrained, and the vocabulary in a line each, which transformers no longer writes"""
    model.save_pretrained(folder)
    vocabulary = tokenizer.get_vocab()
    with open(os.path.join(folder, "vocab.txt"), "w", encoding="utf-8", newline="\n") as f:
        f.writelines(piece + "\n" for piece in sorted(vocabulary, key=vocabulary.get))
