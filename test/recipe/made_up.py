"""What the tests train on: encoders with random weights and texts by rule."""
import contextlib
import gzip
import importlib.util
import io
import os
import random
import sys
from unittest import mock

import torch
from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel

HERE = os.path.dirname(os.path.abspath(__file__))
RECIPE = os.path.join(HERE, "../../model/train")
sys.path.insert(0, RECIPE)

PRAISE, BLAME, NEITHER = ["good", "fine", "lovely"], ["bad", "dull", "awful"], ["long", "red", "new"]
FILLING = ["the", "a", "film", "book", "was", "is", "and", "it", "they", "this", "of", "in", "seen", "read", ",", "."]
PIECES = (["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + PRAISE + BLAME + NEITHER + FILLING
          + [c for c in "abcdefghijklmnopqrstuvwxyz"] + ["##" + c for c in "abcdefghijklmnopqrstuvwxyz"])


def write(path, lines):
    with (gzip.open if path.endswith(".gz") else open)(path, "wt", encoding="utf-8") as f:
        f.writelines(line + "\n" for line in lines)


def encoder(folder, kind="bert", **options):
    """A folder with a small encoder, as save_pretrained leaves it, and its vocabulary"""
    torch.manual_seed(7)
    sizes = {"vocab_size": len(list(dict.fromkeys(PIECES))), "max_position_embeddings": 256, "initializer_range": 0.2}
    if kind == "bert":
        model = BertModel(BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
                                     **sizes, **options))
    else:
        model = DistilBertModel(DistilBertConfig(dim=32, n_layers=2, n_heads=2, hidden_dim=64, **sizes, **options))
    model.save_pretrained(folder)
    write(os.path.join(folder, "vocab.txt"), dict.fromkeys(PIECES))
    return model.eval()


def text(rng, word, length=8):
    words = rng.choices(FILLING, k=length)
    words[rng.randrange(length)] = word
    return " ".join(words)


def labelled(n, seed=1, length=8):
    """-> n different texts with a label each: one word in each tells which"""
    rng, rows = random.Random(seed), {}
    while len(rows) < n:
        label, of_label = rng.choice([("praise", PRAISE), ("blame", BLAME), ("neither", NEITHER)])
        rows[text(rng, rng.choice(of_label), length)] = label
    return list(rows.items())


def run(*arguments):
    """python3 model/train with arguments -> what it prints"""
    spec = importlib.util.spec_from_file_location("recipe", os.path.join(RECIPE, "__main__.py"))
    recipe = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(recipe)
    out = io.StringIO()
    with mock.patch.object(sys, "argv", ["model/train", *arguments]), contextlib.redirect_stdout(out):
        recipe.main()
    return out.getvalue()
