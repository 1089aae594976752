"""The texts to measure with, and the arithmetic of batches."""
import statistics
import subprocess

import numpy
from tokenizers import BertWordPieceTokenizer

LABELS = {"0": 0, "1": 1, "NEGATIVE": 0, "POSITIVE": 1}
POSITIONS = 512


def labelled(path):
    """-> [(text, 0 or 1)] of a tab-separated file, as tools/accuracy reads it"""
    with open(path, encoding="utf-8") as file:
        names, *rows = [line.rstrip("\r\n").split("\t") for line in file]
    text = next(i for i, name in enumerate(names) if name in ("sentence", "text", "review"))
    label = names.index("label")
    return [(row[text], LABELS[row[label].upper()]) for row in rows]


def made_reviews(root, count):
    """`count` of the 64 made texts that are as long as film reviews, spread over all lengths"""
    printed = subprocess.run([root + "/bench/texts", "reviews"], check=True, capture_output=True, text=True).stdout
    reviews = sorted(printed.splitlines(), key=len)
    return [reviews[i * len(reviews) // count] for i in range(count)]


def tokenizer(folder):
    wordpiece = BertWordPieceTokenizer(folder + "/vocab.txt", lowercase=True)
    wordpiece.enable_truncation(POSITIONS)
    return wordpiece


def sorted_batches(texts, size):
    """Lists of at most `size` of the texts (lists of token ids), of nearly one length"""
    by_length = sorted(texts, key=len)
    return [by_length[i:i + size] for i in range(0, len(texts), size)]


def padded(texts):
    """-> ids [texts][longest], 0 behind a text's end, and the mask, 1 where there is text"""
    longest = max(map(len, texts))
    mask = numpy.array([[1] * len(text) + [0] * (longest - len(text)) for text in texts], dtype=numpy.int64)
    ids = numpy.array([text + [0] * (longest - len(text)) for text in texts], dtype=numpy.int64)
    return ids, mask


def accuracy(logits, labels):
    """Per cent of the texts whose greater logit is the label's"""
    return 100 * float(numpy.mean(numpy.argmax(logits, axis=1) == numpy.array(labels)))


def in_turn(ways, repeats):
    """Medians of what the functions return, each called once a round, so that other work on the machine hits all."""
    rounds = [[way() for way in ways] for _ in range(repeats)]
    return [statistics.median(figures) for figures in zip(*rounds)]
