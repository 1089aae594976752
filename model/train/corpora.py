"""The texts: read, cleaned, and what judges a model set apart from what trains it."""
import csv
import gzip
import html
import os
import random
import re

from tokenizer import split_words

SEED = 20260
AMAZON = ["books", "dvd", "electronics", "kitchen"]


def read_sst2(path):
    with open(path, encoding="utf-8") as f:
        next(f)
        rows = [line.rstrip("\n").rsplit("\t", 1) for line in f]
    return [(text.strip(), int(label)) for text, label in rows]


def read_imdb(path):
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as f:
        next(f)
        rows = [line.rstrip("\n").split("\t", 3) for line in f]
    return [(plain(text), int(label), int(name.split("/")[1].split("_")[0]))
            for label, _rating, name, text in rows]


def read_amazon(path):
    with gzip.open(path, "rt", encoding="utf-8", newline="") as f:
        reader = csv.reader(f, delimiter="\t")
        next(reader)
        return [(plain(text), int(label)) for text, label in reader]


def plain(text):
    """Text without HTML: <br /> and entities."""
    return html.unescape(re.sub(r"<br\s*/?>", " ", text))


def read_everyday():
    """The project's own sentences, which a model is judged by: label<TAB>sentence"""
    with open(os.path.join(os.path.dirname(__file__), "../../test/everyday.tsv"), encoding="utf-8") as f:
        next(f)
        rows = [line.rstrip("\n").split("\t") for line in f]
    return [(text, int(label)) for label, text in rows]


def natural(text):
    """SST-2 comes cut into Penn Treebank tokens ("ca n't", "-lrb-"); undo it, since
    users do not write like that."""
    text = text.replace("-lrb-", "(").replace("-rrb-", ")")
    text = text.replace("``", '"').replace("''", '"')
    return re.sub(r" (n't|'(?:s|re|ve|ll|d|m))\b", r"\1", text)


SENTENCE_END = re.compile(r"(?<=[.!?])[\"')]*\s+")


def split_sentences(text):
    """Those of four words and more, up to 46."""
    sentences = [sentence.strip() for sentence in SENTENCE_END.split(text)]
    return [sentence for sentence in sentences if 3 <= sentence.count(" ") <= 45]


def unique(rows, seen=()):
    """Rows with a text not met before, nor in `seen`; the first one stays."""
    seen = {" ".join(split_words(text)) for text in seen}
    out = []
    for row in rows:
        key = " ".join(split_words(row[0]))
        if key and key not in seen:
            seen.add(key)
            out.append(row)
    return out


def hold_back_sst2(rows, rng, sentences):
    """Choose whole sentences, and with them every longer phrase cut out of them, so
    that nothing held back is part of a training text or contains much of one."""
    whole = [text for text, _ in rows if text.endswith((".", "!", "?")) and text.count(" ") >= 9]
    chosen = "\n".join(" %s " % text for text in rng.sample(sorted(whole), sentences))
    held = [row for row in rows if row[0].count(" ") >= 3 and " %s " % row[0] in chosen]
    names = {text for text, _ in held}
    return [row for row in rows if row[0] not in names], held


def hold_back_last(rows, per_class):
    """The reviews with the highest numbers: reviews of one film have neighbouring
    numbers, so that a block shares fewer films with the rest than a random draw."""
    held = []
    for label in (0, 1):
        held += sorted((r for r in rows if r[1] == label), key=lambda r: r[2])[-per_class:]
    names = {r[0] for r in held}
    return [r for r in rows if r[0] not in names], held


def load_data(data):
    """-> everything there is to train and to judge with, apart from each other"""
    rng = random.Random(SEED)
    d = {"everyday": read_everyday(), "dev": read_sst2(os.path.join(data, "sst2_dev.tsv"))}
    sst2 = unique(read_sst2(os.path.join(data, "sst2_train.tsv")), [t for t, _ in d["dev"]])
    d["sst2"], d["held_sst2"] = hold_back_sst2(sst2, rng, 500)
    imdb = unique(read_imdb(os.path.join(data, "imdb_train.tsv.gz")))
    imdb, held = hold_back_last(imdb, 1000)
    d["held_imdb"] = [row[:2] for row in held]
    d["reviews"], d["held_amazon"] = [row[:2] for row in imdb], []
    for domain in AMAZON:
        rows = unique(read_amazon(os.path.join(data, "amazon_%s.tsv.gz" % domain)))
        rng.shuffle(rows)
        held = [r for y in (0, 1) for r in [r for r in rows if r[1] == y][:50]]
        d["held_amazon"] += held
        d["reviews"] += [r for r in rows if r not in held]
    d["reviews"] = unique(d["reviews"], [t for t, _ in d["held_imdb"] + d["held_amazon"]])
    with gzip.open(os.path.join(data, "imdb_unsup.txt.gz"), "rt", encoding="utf-8", newline="\n") as f:
        unlabelled = [(plain(line),) for line in f]
    known = [t for t, _ in d["reviews"] + d["held_imdb"] + d["held_amazon"]]
    d["unlabelled"] = [text for text, in unique(unlabelled, known)]
    return d
