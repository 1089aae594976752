"""Folders that transformers itself has saved, and what it answers with them"""
import json
import os
import shutil

import torch
from tokenizers import Tokenizer
from transformers import (AutoModelForSequenceClassification, AutoTokenizer, BertConfig, BertForSequenceClassification,
                          BertTokenizer, DistilBertConfig, DistilBertForSequenceClassification, DistilBertTokenizer)

torch.set_num_threads(1)


def network(family, seed, **config):
    """A classifier whose weights are all random, biases and norms too"""
    torch.manual_seed(seed)
    classes = {"distilbert": (DistilBertConfig, DistilBertForSequenceClassification),
               "bert": (BertConfig, BertForSequenceClassification)}
    model = classes[family][1](classes[family][0](initializer_range=0.2, **config))
    with torch.no_grad():
        for weight in model.parameters():
            weight += 0.1 * torch.randn_like(weight)
    return model


def distilbert(folder, vocab, seed=1, layers=2, dim=48, heads=4, hidden=96, positions=64, save={}, tokenizer={}, **config):
    network("distilbert", seed, vocab_size=len(vocab), n_layers=layers, dim=dim, n_heads=heads, hidden_dim=hidden,
            max_position_embeddings=positions, **config).save_pretrained(folder, **save)
    DistilBertTokenizer(vocab=vocab, **tokenizer).save_pretrained(folder)
    return folder


def bert(folder, vocab, seed=1, layers=2, dim=48, heads=4, hidden=96, positions=64, save={}, tokenizer={}, **config):
    network("bert", seed, vocab_size=len(vocab), num_hidden_layers=layers, hidden_size=dim, num_attention_heads=heads,
            intermediate_size=hidden, max_position_embeddings=positions, **config).save_pretrained(folder, **save)
    BertTokenizer(vocab=vocab, **tokenizer).save_pretrained(folder)
    return folder


def copy(folder, to, **changes):
    """A copy in which {file: {key: value}} is changed in JSON files; a dotted key goes down, None takes it out"""
    shutil.copytree(folder, to)
    for name, keys in changes.items():
        edit(os.path.join(to, name.replace("__", ".")), keys)
    return to


def edit(path, keys):
    values = {}
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            values = json.load(file)
    for key, value in keys.items():
        *parents, last = key.split(".")
        inner = values
        for parent in parents:
            inner = inner[parent]
        if value is None:
            del inner[last]
        else:
            inner[last] = value
    with open(path, "w", encoding="utf-8") as file:
        json.dump(values, file)


def pieces(folder):
    """The vocabulary in the order of its ids"""
    with open(os.path.join(folder, "tokenizer.json"), encoding="utf-8") as file:
        vocab = json.load(file)["model"]["vocab"]
    return sorted(vocab, key=vocab.get)


def write_vocab_txt(folder, lines):
    with open(os.path.join(folder, "vocab.txt"), "w", encoding="utf-8", newline="") as file:
        file.write("".join(line + "\n" for line in lines))


def token_ids(folder, texts):
    """As transformers reads texts; without a limit of its own, up to the network's positions"""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with open(os.path.join(folder, "config.json"), encoding="utf-8") as file:
        positions = json.load(file)["max_position_embeddings"]
    limit = {} if tokenizer.model_max_length <= positions else {"max_length": positions}
    return tokenizer(texts, truncation=True, **limit)["input_ids"]


def token_ids_of_json(folder, texts):
    """As the library tokenizers reads them by tokenizer.json alone"""
    tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    return [encoding.ids for encoding in tokenizer.encode_batch(texts)]


def logits(folder, all_ids):
    """[text][label] of token ids, in batches of equal length"""
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    by_length = {}
    for i, ids in enumerate(all_ids):
        by_length.setdefault(len(ids), []).append(i)
    answers = [None] * len(all_ids)
    with torch.inference_mode():
        for chosen in by_length.values():
            for i, row in zip(chosen, model(torch.tensor([all_ids[i] for i in chosen])).logits.tolist()):
                answers[i] = row
    return answers, model.config.id2label
