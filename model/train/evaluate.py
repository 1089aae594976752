"""What the finished folder scores, measured on the rounded weights, and the card's tables of it."""
import os
import re

import numpy as np
import torch

from batches import batches, padded
from export import read_safetensors
from network import Classifier, config

SETS = {
    "dev": "SST-2 dev",
    "held_imdb": "IMDB, held back: 1,000 reviews of each class",
    "held_amazon": "Amazon, held back: 50 reviews of each class from each of 4 kinds of goods",
    "held_sst2": "SST-2 train, held back: 500 sentences and the phrases of four words or more found in them",
    "everyday": "[100 everyday sentences](../test/everyday.tsv), written for this project",
}
COUNTRIES = ["France", "Germany", "Italy", "Spain", "Canada", "Japan", "India", "China", "Brazil",
             "Mexico", "Nigeria", "Russia", "Iran", "Iraq", "Afghanistan", "Syria"]


def finished_model(tok, a):
    model = Classifier(config(len(tok.pieces), a)).to(a.device)
    model.load_state_dict(read_safetensors(os.path.join(a.out, "model.safetensors")))
    return model


def scores(model, tok, texts, device):
    """-> probability of POSITIVE, float32, whatever the training type was"""
    ids = [(tok.encode(text)[:510], i) for i, text in enumerate(texts)]
    out = np.zeros(len(texts))
    with torch.no_grad():
        for batch in batches(ids, 8192, np.random.default_rng(0)):
            logits = model(padded([x for x, _ in batch], device), torch.float32)
            out[[i for _, i in batch]] = logits.softmax(1)[:, 1].cpu().numpy()
    return out


def table(head, rows):
    lines = [head, ["---"] * len(head)] + rows
    return "\n".join("| %s |" % " | ".join(line) for line in lines)


def figures(data, tok, a):
    """-> the card's tables: accuracy, the everyday sentences that are wrong, the countries"""
    model = finished_model(tok, a)
    accuracy, wrong = [], []
    for name, what in SETS.items():
        texts = [text for text, _ in data[name]]
        score = scores(model, tok, texts, a.device)
        missed = [i for i, (_, y) in enumerate(data[name]) if (score[i] > 0.5) != (y == 1)]
        right = len(texts) - len(missed)
        accuracy.append([what, "%d of %d" % (right, len(texts)), "%.1f %%" % (100 * right / len(texts))])
        if name == "everyday":
            wrong = [[texts[i], "%.3f" % score[i]] for i in missed]
    films = scores(model, tok, ["This film was filmed in %s." % country for country in COUNTRIES], a.device)
    countries = [[COUNTRIES[i], "%.3f" % films[i]] for i in np.argsort(-films)]
    return {"accuracy": table(["rows", "right", "accuracy"], accuracy),
            "everyday": table(["wrong", "score"], wrong),
            "countries": table(["country", "score"], countries)}


def write_card(path, tables):
    """Puts each table between the marks <!-- NAME --> and <!-- /NAME --> of the card."""
    with open(path, encoding="utf-8") as f:
        card = f.read()
    for name, text in tables.items():
        card = re.sub("(<!-- %s -->\n).*?(<!-- /%s -->)" % (name, name),
                      lambda marks: marks[1] + text + "\n" + marks[2], card, flags=re.S)
    with open(path, "w", encoding="utf-8") as f:
        f.write(card)
