"""The corpora as word pieces.  To read, swap and split 120 MB of text takes minutes and is the same for every run, so
that the first run keeps the result in its folder."""
import multiprocessing
import os
import random
import re

import numpy as np

from corpora import load_data
from swaps import swapped

SWAPPED = {"written", "sst2", "short", "reviews", "sentences"}    # sets whose texts are also read with other countries and names
SENTENCE = re.compile(r"(?<=[.!?])\s+")
SENTENCE_WORDS = range(4, 26)
SENTENCES = 3                                          # of a review, at most


class Ragged:
    """Lists of ids in one array: values [all], uint16; ends [lists], of each list the place after its last id"""

    def __init__(self, values, ends):
        self.values, self.ends = values, ends

    @classmethod
    def of(cls, lists):
        ends = np.cumsum([len(ids) for ids in lists], dtype=np.int64)
        return cls(np.concatenate([np.asarray(ids, np.uint16) for ids in lists] or [np.empty(0, np.uint16)]), ends)

    def __len__(self):
        return len(self.ends)

    def __getitem__(self, i):
        return self.values[self.ends[i - 1] if i else 0:self.ends[i]]


class Texts:
    """A set of texts: their word pieces, these with terms swapped or no pieces where that is the same, and labels [texts],
    int8, -1 where there is none"""

    def __init__(self, plain, other, labels):
        self.plain, self.other, self.labels = plain, other, labels

    def __len__(self):
        return len(self.plain)

    def __getitem__(self, i):
        return self.plain[i]

    def either(self, i, rng):
        """The word pieces of text i, with terms swapped in half of all cases"""
        return self.other[i] if len(self.other[i]) and rng.random() < 0.5 else self.plain[i]

    def save(self, path):
        np.savez_compressed(path + ".new.npz", labels=self.labels, plain=self.plain.values, plain_ends=self.plain.ends,
                            other=self.other.values, other_ends=self.other.ends)
        os.replace(path + ".new.npz", path)

    @classmethod
    def load(cls, path):
        with np.load(path) as f:
            return cls(Ragged(f["plain"], f["plain_ends"]), Ragged(f["other"], f["other_ends"]), f["labels"])


def sentences(reviews, seed):
    """Some sentences of each review, neither very short nor long, with the review's label"""
    rng, out = random.Random(seed), []
    for text, label in reviews:
        found = [s for s in SENTENCE.split(text) if len(s.split()) in SENTENCE_WORDS]
        out += [(s, label) for s in rng.sample(found, min(SENTENCES, len(found)))]
    return out


def swapped_one(numbered):
    number, text = numbered
    other = swapped(text, random.Random(number))
    return other if other != text else ""


def encode(rows, tokenizer, swap):
    """rows: [(text, label or None)] -> Texts"""
    pieces = lambda texts: Ragged.of(tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else [])
    others = [""] * len(rows)
    if swap:
        with multiprocessing.Pool() as pool:
            others = pool.map(swapped_one, enumerate(text for text, _ in rows), chunksize=200)
    labels = np.array([-1 if label is None else label for _, label in rows], np.int8)
    return Texts(pieces([text for text, _ in rows]), pieces(others), labels)


def prepare(data, tokenizer, folder):
    """Writes a file for every set of texts."""
    sets = load_data(data)
    for name in ("dev", "everyday", "tickets"):        # for make accuracy alone
        del sets[name]
    sets["sentences"] = sentences(sets["reviews"], 1)
    sets["unlabelled_sentences"] = sentences(sets["unlabelled"], 2)
    os.makedirs(folder, exist_ok=True)
    for name, rows in sorted(sets.items(), key=lambda item: len(item[1])):
        encode(rows, tokenizer, name in SWAPPED).save(os.path.join(folder, name + ".npz"))


def load_texts(data, tokenizer, work):
    """-> {name of a set: Texts}, from WORK/texts, which is made from `data` where it is missing"""
    folder = os.path.join(work, "texts")
    if not os.path.isdir(folder):
        prepare(data, tokenizer, folder + ".new")
        os.rename(folder + ".new", folder)
    return {name.removesuffix(".npz"): Texts.load(os.path.join(folder, name)) for name in sorted(os.listdir(folder))}
