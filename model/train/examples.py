"""What classifiers learn from.  Each function gives another one, which draws the examples of
an epoch: pairs of ids and a label, 0 to 1.  Labels that may be wrong stop short of both."""
import collections
import re

import numpy as np
import torch

from batches import batches, padded, window
from corpora import natural, split_sentences
from tokenizer import MASK


def labelled(epoch, tokens, tok, rng, device):
    """Endless batches: (ids, labels)"""
    while True:
        for batch in batches(epoch(rng), tokens, rng):
            yield (padded([vary(ids, rng, tok) for ids, _ in batch], device),
                   torch.tensor([float(y) for _, y in batch], device=device))


def vary(ids, rng, tok):
    """Forget some words; sometimes write apostrophes as word processors do."""
    ids = np.where(rng.random(len(ids)) < 0.05, MASK, ids)
    if rng.random() < 0.1:
        ids = np.where(ids == tok.ids["'"], tok.ids["’"], ids)
    return ids


def phrases(data, tok):
    """SST-2, longer phrases twice; the Treebank or the natural form of each."""
    rows = [((tok.encode(text), tok.encode(natural(text))), y) for text, y in data["sst2"]]

    def draw(rng):
        return [(forms[int(rng.integers(2))], y) for forms, y in rows
                for _ in range(2 if len(forms[0]) >= 9 else 1)]
    return draw


def sentences_of_reviews(data, tok):
    """A part of the sentences of labelled reviews, with the label of the whole."""
    rows = [(tok.encode(sentence), y) for text, y in data["reviews"] for sentence in split_sentences(text)]

    def draw(rng):
        return [rows[i] for i in rng.permutation(len(rows))[:150000]]
    return draw


def windows(reviews, plan, doubt):
    """Parts of labelled reviews, some whole; plan: pairs of lengths and how many of these."""
    def draw(rng):
        return [(window(reviews[i][0], rng, lengths), doubt / 2 + (1 - doubt) * reviews[i][1])
                for lengths, n in plan for i in rng.integers(len(reviews), size=n)]
    return draw


def sentences(texts, probabilities, n):
    """Sentences without a label and what the teacher says of them."""
    def draw(rng):
        return [(texts[i], float(probabilities[i])) for i in rng.integers(len(texts), size=n)]
    return draw


def together(epochs, never):
    """All of them, without the texts `never` to be learnt from."""
    never = {ids.tobytes() for ids in never}
    return lambda rng: [(ids, y) for epoch in epochs for ids, y in epoch(rng) if ids.tobytes() not in never]


NEGATED = ["not %s", "not %s at all", "not that %s", "it is not %s", "it was not %s", "it isn't %s",
           "it wasn't %s at all", "this is not %s.", "they were not %s", "i am not %s", "not a %s one"]
AFFIRMED = ["very %s", "it is %s", "it was really %s", "so %s", "this is %s.", "they were %s", "a %s one"]
VERBS = [("like", 1), ("love", 1), ("enjoy", 1), ("recommend", 1), ("hate", 0), ("regret", 0), ("dislike", 0)]
NEGATED_VERBS = ["i did not %s it", "i didn't %s it", "i do not %s this", "i don't %s it at all",
                 "we did not %s the film", "they don't %s them.", "i would not %s it"]
AFFIRMED_VERBS = ["i %s it", "i %s this film.", "i really %s this.", "we %s them", "they %s it!", "i would %s it"]


def gradable(data):
    """Words that SST-2 labels alone and that reviews put after "very": nearly all of
    them adjectives."""
    after = collections.Counter()
    for text in [t for t, _ in data["reviews"]] + data["unlabelled"]:
        after.update(re.findall(r"\bvery ([a-z]+)", text.lower()))
    return [(text, y) for text, y in data["sst2"] if text.isalpha() and after[text] >= 10]


def contrasts(data, tok, rounds):
    """Short texts made by rule, since SST-2 has few of their kind: a negated adjective or verb
    turns its label, and each is affirmed as often, lest the word itself turn; of two parts joined
    by "but" the second decides.  Neither is always so."""
    sources = [(rounds * gradable(data), NEGATED, AFFIRMED), (10 * rounds * VERBS, NEGATED_VERBS, AFFIRMED_VERBS)]
    parts = [[natural(t) for t, y in data["sst2"] if y == label and 2 <= t.count(" ") <= 7]
             for label in (0, 1)]

    def draw(rng):
        texts = []
        for words, negated, affirmed in sources:
            for word, y in words:
                texts.append((rng.choice(negated) % word, 0.9 - 0.8 * y))
                texts.append((rng.choice(affirmed) % word, y))
        for _ in range(1200):
            y = int(rng.integers(2))
            texts.append((rng.choice(["%s but %s", "%s, but %s"]) % (
                parts[1 - y][rng.integers(len(parts[1 - y]))],
                parts[y][rng.integers(len(parts[y]))]), 0.1 + 0.8 * y))
        return [(tok.encode(text), y) for text, y in texts]
    return draw
