"""Reads and cleans the texts, and sets those that judge a model apart from those that train it."""
import csv
import gzip
import html
import os
import random
import re

SPLIT_SEED = 20260    # of the split; every run keeps back the same rows
AMAZON = ["books", "dvd", "electronics", "kitchen"]


def read_sst2(path):
    """A file with the header sentence<TAB>label, gzipped or not -> [(text, label)]"""
    with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8", newline="\n") as f:
        next(f)
        rows = [line.rstrip("\n").rsplit("\t", 1) for line in f]
    return [(text.strip(), int(label)) for text, label in rows]


def read_imdb(path):
    """-> [(text, label, number of the review)]"""
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as f:
        next(f)
        rows = [line.rstrip("\n").split("\t", 3) for line in f]
    return [(plain(text), int(label), int(name.split("/")[1].split("_")[0]))
            for label, _rating, name, text in rows]


def read_unlabelled(path):
    """-> [(text, None)]"""
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as f:
        return [(plain(line.rstrip("\n")), None) for line in f]


def read_amazon(path):
    with gzip.open(path, "rt", encoding="utf-8", newline="") as f:
        reader = csv.reader(f, delimiter="\t")
        next(reader)
        return [(plain(text), int(label)) for text, label in reader]


def plain(text):
    """Text without HTML: <br /> and entities."""
    return html.unescape(re.sub(r"<br\s*/?>", " ", text))


def read_own(path):
    """Sentences written for this project, in a file below the source's top: label<TAB>sentence, with a header"""
    with open(os.path.join(os.path.dirname(__file__), "../..", path), encoding="utf-8") as f:
        next(f)
        rows = [line.rstrip("\n").split("\t") for line in f]
    return [(text, int(label)) for label, text in rows]


def words(text):
    return re.findall(r"\w+", text.lower())


def unique(rows, seen=()):
    """Rows whose words were not met before, nor in `seen`; the first one stays."""
    seen = {" ".join(words(text)) for text in seen}
    out = []
    for row in rows:
        key = " ".join(words(row[0]))
        if key and key not in seen:
            seen.add(key)
            out.append(row)
    return out


def runs(text, n):
    """Every n words in a row"""
    w = words(text)
    return {tuple(w[i:i + n]) for i in range(len(w) - n + 1)}


def apart(rows, held, n=6):
    """Rows that share no n words in a row with a text of `held`"""
    taken = set().union(*(runs(text, n) for text, _ in held))
    return [row for row in rows if taken.isdisjoint(runs(row[0], n))]


def hold_back_sst2(rows, rng, sentences):
    """Choose whole sentences, and with them every longer phrase cut out of them, so
    that nothing held back is part of a training text or contains much of one."""
    whole = [text for text, _ in rows if text.endswith((".", "!", "?")) and text.count(" ") >= 9]
    chosen = "\n".join(" %s " % text for text in rng.sample(sorted(whole), sentences))
    held = [row for row in rows if row[0].count(" ") >= 3 and " %s " % row[0] in chosen]
    names = {text for text, _ in held}
    return apart([row for row in rows if row[0] not in names], held), held


def hold_back_last(rows, per_class):
    """The reviews with the highest numbers: reviews of one film have neighbouring
    numbers, so that a block shares fewer films with the rest than a random draw."""
    held = []
    for label in (0, 1):
        held += sorted((r for r in rows if r[1] == label), key=lambda r: r[2])[-per_class:]
    names = {r[0] for r in held}
    return [r for r in rows if r[0] not in names], held


def load_data(folder):
    """-> everything there is to train and to judge with, apart from each other"""
    rng = random.Random(SPLIT_SEED)
    path = lambda name: os.path.join(folder, name)
    d = {name: read_own("test/%s.tsv" % name) for name in ("everyday", "tickets")}
    d["dev"] = read_sst2(path("sst2_dev.tsv"))
    own = d["everyday"] + d["tickets"]
    judges = [text for text, _ in d["dev"] + own]
    d["written"] = apart(unique(read_own("model/train/written.tsv"), judges), own, 4)
    d["sst2"], d["held_sst2"] = hold_back_sst2(unique(read_sst2(path("sst2_train.tsv")), judges), rng, 500)
    short = read_sst2(path("rt_snippets.tsv.gz")) + read_sst2(path("customer_reviews.tsv.gz"))
    d["short"] = apart(unique(short, judges + [text for text, _ in d["sst2"]]), d["held_sst2"])
    imdb, held = hold_back_last(unique(read_imdb(path("imdb_train.tsv.gz"))), 1000)
    d["held_imdb"] = [row[:2] for row in held]
    d["reviews"], d["held_amazon"] = [row[:2] for row in imdb], []
    for domain in AMAZON:
        rows = unique(read_amazon(path("amazon_%s.tsv.gz" % domain)))
        rng.shuffle(rows)
        held = [r for y in (0, 1) for r in [r for r in rows if r[1] == y][:50]]
        d["held_amazon"] += held
        d["reviews"] += [r for r in rows if r not in held]
    held = [text for text, _ in d["held_imdb"] + d["held_amazon"]]
    d["reviews"] = unique(d["reviews"], held)
    d["unlabelled"] = unique(read_unlabelled(path("imdb_unsup.txt.gz")), held + [text for text, _ in d["reviews"]])
    return d
