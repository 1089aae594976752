"""A user's own labels: from rows to a folder that make install-model takes, and how good it is."""
import os
import random

import torch
from transformers import AutoConfig

from evaluate import probabilities
from examples import one_hot
from labelled import hold_back, labelled_rows, names_of_labels, read_file, read_query
from network import classifier, export, keep_words, tune_gently
from training import Settings, batches, cross_entropy, train

BATCH = 32


def known_labels(folder):
    """The names that somebody gave the labels of a classifier; none where nobody did, as in an encoder"""
    names = [name for _, name in sorted(AutoConfig.from_pretrained(folder).id2label.items())]
    return [] if names == ["LABEL_%d" % i for i in range(len(names))] else names


def settings(a, n):
    """n: the number of batches.  The card's recipe is that of the official model."""
    if a.recipe == "card":
        return Settings("finetune", a.seed, a.rate or 1e-5, 600, compute=a.compute)
    return Settings("finetune", a.seed, a.rate or 5e-5, n // 10 + 1, compute=a.compute)


def encoded(rows, names, tokenizer, limit):
    ids = tokenizer([text for text, _ in rows], truncation=True, max_length=limit)["input_ids"]
    return [(text, one_hot(index(names, label), len(names))) for text, (_, label) in zip(ids, rows)]


def index(names, label):
    return names.index(label) if label in names else int(label)


def confusion(model, tokenizer, rows, names, limit):
    """-> how many rows of each label (first index) are given each label (second)"""
    said = probabilities(model, tokenizer, [text for text, _ in rows], limit).argmax(1).tolist()
    counts = torch.zeros(len(names), len(names), dtype=torch.int64)
    for (_, label), answer in zip(rows, said):
        counts[index(names, label), answer] += 1
    return counts


def print_figures(counts, names):
    right, all_rows = int(counts.trace()), int(counts.sum())
    width = max(8, *(len(name) + 2 for name in names))
    print("\nright: %d of %d rows that were held back, %.1f %%; the most frequent label alone would have %.1f %%\n"
          % (right, all_rows, 100 * right / all_rows, 100 * int(counts.sum(1).max()) / all_rows))
    print("label".ljust(width) + "taken for" + "\n" + "".ljust(width) + "".join(name.rjust(width) for name in names))
    for name, row in zip(names, counts.tolist()):
        print(name.ljust(width) + "".join(str(n).rjust(width) for n in row))


def finetune(a):
    if os.path.isdir(a.out) and os.listdir(a.out):
        raise SystemExit("%s: not empty" % a.out)
    columns, rows = read_query(a.query, a.dsn) if a.query else read_file(a.data)
    usable = labelled_rows(columns, rows, a.text, a.label)
    names = names_of_labels(usable, known_labels(a.start))
    training, held = hold_back(usable, a.held_back, a.seed)
    print("%d rows, %d of them empty or repeated; %d to train on, %d held back; labels: %s" % (
        len(rows), len(rows) - len(usable), len(training), len(held), ", ".join(names)), flush=True)

    torch.manual_seed(a.seed)
    model, tokenizer = classifier(a.start, names)
    limit = min(a.tokens, tokenizer.model_max_length)
    if a.recipe == "own":
        tune_gently(model)
        keep_words(model)
    learned, rng = encoded(training, names, tokenizer, limit), random.Random(a.seed)
    plan = [batch for _ in range(a.epochs) for batch in batches(learned, lambda _: BATCH, rng)]
    train(model, plan, cross_entropy(model, tokenizer.pad_token_id), settings(a, len(plan)))

    export(model, tokenizer, a.out)
    tokenizer.save_pretrained(a.out)
    print_figures(confusion(model, tokenizer, held, names, limit), names)
    print("\n%s is ready for: make install-model MODEL_DIR=%s MODEL_NAME=mine" % (a.out, os.path.abspath(a.out)))
