#!/usr/bin/env python3
"""Train the starter model: vocabulary, pre-training, fine-tuning, export, evaluation.

The result is a Hugging Face folder of a small DistilBertForSequenceClassification
(config.json, model.safetensors in F16, vocab.txt).  Five stages learn, each with a
share of time instead of a number of steps, so that the whole fits a budget on any
machine:

  embeddings  word vectors from co-occurrence counts, a head start that costs seconds
  pretrain    masked language model on reviews, no labels
  distant     windows of long reviews, labelled as the whole review is
  finetune    SST-2 phrases and sentences, mixed with some windows of reviews
  polish      the same with many negated adjectives and verbs, which the model learns last

Every stage keeps a checkpoint in --work and is resumed or skipped when it is found
there.  Needs Python 3, numpy and torch >= 1.13, and a fast BLAS behind them.

usage: train-starter.py --data DIR --work DIR --out DIR
"""
import argparse
import collections
import csv
import gzip
import html
import json
import math
import os
import random
import re
import struct
import time
import unicodedata

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PAD, UNK, CLS, SEP, MASK = range(5)
LABELS = ["NEGATIVE", "POSITIVE"]
AMAZON = ["books", "dvd", "electronics", "kitchen"]
MAX_WORD = 100       # characters; a longer word is one [UNK]
SEED = 20260


# ---------------------------------------------------------------- tokenizer

# Set off by spaces although they are letters, as in BERT.
CJK = [(0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
       (0x2B740, 0x2B81F), (0x2B920, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F)]


class CharMap(dict):
    """For str.translate: what each character becomes, worked out when first met.

    This uses the Unicode version of the Python that runs it; the extension fixes
    the version.  The two differ only on characters that no training text has."""

    def __missing__(self, code):
        self[code] = self.rule(chr(code))
        return self[code]

    @staticmethod
    def rule(ch):
        category = unicodedata.category(ch)
        if ch in "\t\n\r" or category in ("Zs", "Zl", "Zp"):
            return " "
        if ch == "\ufffd" or category in ("Cc", "Cf", "Co"):
            return ""
        out = "".join(c.lower() for c in unicodedata.normalize("NFD", ch)
                      if unicodedata.category(c) != "Mn")
        ascii_symbol = ch.isascii() and not ch.isalnum()
        cjk = any(first <= ord(ch) <= last for first, last in CJK)
        return " %s " % out if ascii_symbol or cjk or category[0] == "P" else out


CHAR_MAP = CharMap()


def split_words(text):
    return text.translate(CHAR_MAP).split()


class Tokenizer:
    """WordPiece, longest match first.  Special tokens written out in a text are not
    looked for: no training text has them."""

    def __init__(self, pieces):
        self.pieces = pieces
        self.ids = {piece: i for i, piece in enumerate(pieces)}
        self.cache = {}

    def word(self, word):
        """-> ids of one word, remembered since most words are met again."""
        if word not in self.cache:
            self.cache[word] = self.cut(word)
        return self.cache[word]

    def cut(self, word):
        out, start = [], 0
        while start < len(word) <= MAX_WORD:
            prefix = "##" if start else ""
            end = len(word)
            while end > start and prefix + word[start:end] not in self.ids:
                end -= 1
            if end == start:
                return [UNK]
            out.append(self.ids[prefix + word[start:end]])
            start = end
        return out or [UNK]

    def encode(self, text):
        """-> uint16 ids without [CLS] and [SEP]"""
        return np.array([i for w in split_words(text) for i in self.word(w)], np.uint16)


# ---------------------------------------------------------------- data

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


def natural(text):
    """SST-2 comes cut into Penn Treebank tokens ("ca n't", "-lrb-"); undo it, since
    users do not write like that."""
    text = text.replace("-lrb-", "(").replace("-rrb-", ")")
    text = text.replace("``", '"').replace("''", '"')
    return re.sub(r" (n't|'(?:s|re|ve|ll|d|m))\b", r"\1", text)


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
    d = {"dev": read_sst2(os.path.join(data, "sst2_dev.tsv"))}
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


# ---------------------------------------------------------------- vocabulary

# Characters that ordinary text may hold beyond those frequent in the training text.
EXTRA_CHARACTERS = "".join(map(chr, range(33, 127))) + "¡¿«»“”‘’‚„–—…•·´`£€¥¢§©®™°±×÷½¼¾²³µßæøœđðþłı"


def count_words(data):
    count = collections.Counter()
    for text, _ in data["sst2"]:
        count.update(split_words(natural(text)))
    for text in [t for t, _ in data["reviews"]] + data["unlabelled"]:
        count.update(split_words(text))
    return count


def learn_vocabulary(count, size):
    """Specials, single characters, then the most frequent words whole and, in the last
    fifth, pieces for the words that are left."""
    letters = collections.Counter()
    for word, n in count.items():
        for ch in word:
            letters[ch] += n
    characters = {c for c in EXTRA_CHARACTERS if not c.isupper()}
    characters |= {c for c, n in letters.items() if n >= 100}
    pieces = SPECIALS + sorted(characters) + ["##" + c for c in sorted(characters)]
    known = set(pieces)
    ranked = [w for w, n in sorted(count.items(), key=lambda item: (-item[1], item[0]))
              if w not in known and n >= 3]
    n_words = (size - len(pieces)) * 4 // 5
    pieces += ranked[:n_words]
    known.update(pieces)
    rest = {w: count[w] for w in ranked[n_words:] if set(w) <= characters and len(w) <= 30}
    for piece in merges(rest):
        if len(pieces) == size:
            break
        if piece not in known:
            known.add(piece)
            pieces.append(piece)
    return pieces


def merges(count):
    """Byte-pair encoding: yields pieces, the most useful first."""
    words = [[w[0]] + ["##" + c for c in w[1:]] for w in count]
    weight = list(count.values())
    pairs, where = collections.Counter(), collections.defaultdict(set)
    for i, word in enumerate(words):
        for pair in zip(word, word[1:]):
            pairs[pair] += weight[i]
            where[pair].add(i)
    while pairs:
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        joined = best[0] + best[1][2:]
        for i in where.pop(best):
            for pair in zip(words[i], words[i][1:]):
                pairs[pair] -= weight[i]
            words[i] = join(words[i], best, joined)
            for pair in zip(words[i], words[i][1:]):
                pairs[pair] += weight[i]
                where[pair].add(i)
        del pairs[best]
        yield joined


def join(word, pair, joined):
    out, i = [], 0
    while i < len(word):
        if tuple(word[i:i + 2]) == pair:
            out.append(joined)
            i += 2
        else:
            out.append(word[i])
            i += 1
    return out


def vocabulary(data, work, size):
    path = os.path.join(work, "vocab.txt")
    if not os.path.exists(path):
        pieces = learn_vocabulary(count_words(data), size)
        with open(path + ".new", "w", encoding="utf-8", newline="\n") as f:
            f.writelines(piece + "\n" for piece in pieces)
        os.replace(path + ".new", path)
    with open(path, encoding="utf-8", newline="\n") as f:
        return Tokenizer(f.read().split("\n")[:-1])


# ---------------------------------------------------------------- model

class Noise:
    """Dropout from a pool of ready masks, read at a random place: drawing fresh random
    numbers for every activation is the slowest thing there is on a CPU."""

    def __init__(self, rate, device, dtype):
        self.rate, size = rate, 1 << 24
        keep = torch.rand(size, device=device) >= rate
        self.pool = (keep / (1 - rate)).to(dtype)

    def __call__(self, x):
        n = x.numel()
        start = random.randrange(self.pool.numel() - n)
        return x * self.pool[start:start + n].view(x.shape)


def no_noise(x):
    return x


def linear(x, lin):
    """The weights stay float32; the product is taken in the type of x."""
    return F.linear(x, lin.weight.to(x.dtype), lin.bias.to(x.dtype))


def layer_norm(x, norm):
    return F.layer_norm(x, norm.normalized_shape, norm.weight.to(x.dtype),
                        norm.bias.to(x.dtype), norm.eps)


class Attention(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.q_lin, self.k_lin = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.v_lin, self.out_lin = nn.Linear(dim, dim), nn.Linear(dim, dim)

    def split(self, x):
        """[B][T][D] -> [B][heads][T][D/heads]"""
        return x.view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)

    def forward(self, query, x, bias, noise):
        q = self.split(linear(query, self.q_lin))
        k, v = self.split(linear(x, self.k_lin)), self.split(linear(x, self.v_lin))
        scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(2, 3)
        if bias is not None:
            scores = scores + bias
        out = noise(scores.softmax(-1)) @ v
        return linear(out.transpose(1, 2).reshape(query.shape), self.out_lin)


class FeedForward(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.lin1, self.lin2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, x):
        return linear(F.gelu(linear(x, self.lin1)), self.lin2)


class Block(nn.Module):
    def __init__(self, dim, heads, hidden):
        super().__init__()
        self.attention = Attention(dim, heads)
        self.sa_layer_norm = nn.LayerNorm(dim, eps=1e-12)
        self.ffn = FeedForward(dim, hidden)
        self.output_layer_norm = nn.LayerNorm(dim, eps=1e-12)

    def forward(self, x, bias, noise, rows):
        """Only the first `rows` positions are computed; all are attended to."""
        query = x[:, :rows]
        query = layer_norm(noise(self.attention(query, x, bias, noise)) + query, self.sa_layer_norm)
        return layer_norm(noise(self.ffn(query)) + query, self.output_layer_norm)


class Embeddings(nn.Module):
    def __init__(self, vocab, dim, positions):
        super().__init__()
        self.word_embeddings = nn.Embedding(vocab, dim)
        self.position_embeddings = nn.Embedding(positions, dim)
        self.LayerNorm = nn.LayerNorm(dim, eps=1e-12)

    def forward(self, ids, positions):
        return layer_norm(self.word_embeddings(ids) + self.position_embeddings(positions), self.LayerNorm)


class DistilBert(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embeddings = Embeddings(c["vocab_size"], c["dim"], c["max_position_embeddings"])
        self.transformer = nn.Module()
        self.transformer.layer = nn.ModuleList(
            Block(c["dim"], c["n_heads"], c["hidden_dim"]) for _ in range(c["n_layers"]))


class Classifier(nn.Module):
    """Parameters have the names of DistilBertForSequenceClassification."""

    def __init__(self, c):
        super().__init__()
        self.distilbert = DistilBert(c)
        self.pre_classifier = nn.Linear(c["dim"], c["dim"])
        self.classifier = nn.Linear(c["dim"], len(LABELS))

    def encode(self, ids, dtype, noise=no_noise, positions=None, rows=None):
        """ids [B][T], 0 where padded -> states [B][rows or T][D]"""
        if positions is None:
            positions = torch.arange(ids.shape[1], device=ids.device)
        bias = None
        if (ids == PAD).any():
            bias = (ids == PAD)[:, None, None, :].to(dtype) * -1e4
        x = noise(self.distilbert.embeddings(ids, positions).to(dtype))
        blocks = list(self.distilbert.transformer.layer)
        for block in blocks[:-1]:
            x = block(x, bias, noise, None)
        return blocks[-1](x, bias, noise, rows)

    def forward(self, ids, dtype, noise=no_noise):
        """-> logits [B][2], float32"""
        x = self.encode(ids, dtype, noise, rows=1)[:, 0].float()
        return linear(noise_small(F.relu(linear(x, self.pre_classifier)), noise), self.classifier)


def noise_small(x, noise):
    """Ordinary dropout at the rate of `noise`: the pool may have another type."""
    return x if noise is no_noise else F.dropout(x, noise.rate)


class WordPredictor(nn.Module):
    """The head of the masked language model; dropped after pre-training."""

    def __init__(self, dim, vocab):
        super().__init__()
        self.transform = nn.Linear(dim, dim)
        self.norm = nn.LayerNorm(dim)
        self.bias = nn.Parameter(torch.zeros(vocab))

    def forward(self, x, words):
        x = layer_norm(F.gelu(linear(x, self.transform)), self.norm)
        return (x @ words.to(x.dtype).t()).float() + self.bias


def config(vocab_size, a):
    return {
        "_name_or_path": "distilsst-starter", "activation": "gelu",
        "architectures": ["DistilBertForSequenceClassification"],
        "attention_dropout": 0.1, "dim": a.dim, "dropout": 0.1, "finetuning_task": "sst-2",
        "hidden_dim": a.hidden, "id2label": {str(i): name for i, name in enumerate(LABELS)},
        "initializer_range": 0.02, "label2id": {name: i for i, name in enumerate(LABELS)},
        "max_position_embeddings": 512, "model_type": "distilbert", "n_heads": a.heads,
        "n_layers": a.layers, "output_past": True, "pad_token_id": PAD, "qa_dropout": 0.1,
        "seq_classif_dropout": 0.1, "sinusoidal_pos_embds": False, "tie_weights_": True,
        "transformers_version": "4.29.2", "vocab_size": vocab_size,
    }


def initialise(model, word_vectors):
    for name, p in model.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(p)
        elif "orm" not in name:
            nn.init.normal_(p, std=0.03)
    with torch.no_grad():
        embeddings = model.distilbert.embeddings
        embeddings.word_embeddings.weight.copy_(torch.from_numpy(word_vectors))
        embeddings.position_embeddings.weight.copy_(sinusoids(*embeddings.position_embeddings.weight.shape))


def sinusoids(positions, dim):
    """Small, so that words speak first; neighbouring positions start alike, so that the
    far ones, which few texts reach, are never far from trained ones."""
    angle = torch.arange(positions)[:, None] * torch.exp(-torch.arange(0, dim, 2) * math.log(1e4) / dim)
    return 0.02 * torch.cat([angle.sin(), angle.cos()], 1)


# ---------------------------------------------------------------- embeddings

def cooccurrences(stream, vocab, window):
    """Weighted by 1/distance, both directions, [PAD] as a wall between texts."""
    table = np.zeros((vocab, vocab), np.float32)
    for distance in range(1, window + 1):
        pair = stream[:-distance].astype(np.int64) * vocab + stream[distance:]
        table += (np.bincount(pair, minlength=vocab * vocab) / distance).reshape(vocab, vocab)
    table[PAD], table[:, PAD] = 0, 0
    return table + table.T


def word_vectors(stream, vocab, dim):
    """Positive pointwise mutual information, contexts smoothed with exponent 3/4, by
    truncated SVD (randomised, a few power iterations)."""
    table = torch.from_numpy(cooccurrences(stream, vocab, 5))
    word, context = table.sum(1, keepdim=True) + 1e-6, table.sum(0, keepdim=True) ** 0.75
    table = (table * context.sum() / (word * context + 1e-6)).clamp_(min=1).log_()
    basis = torch.linalg.qr(table @ torch.randn(vocab, dim + 32))[0]
    for _ in range(4):
        basis = torch.linalg.qr(table @ (table.t() @ basis))[0]
    u, s, _ = torch.linalg.svd(basis.t() @ table, full_matrices=False)
    vectors = (basis @ u)[:, :dim] * s[:dim].sqrt()
    vectors = vectors / vectors.norm(dim=1, keepdim=True).clamp(min=1e-3) * math.sqrt(dim)
    vectors[table.sum(1) == 0] = torch.randn(dim)
    return (0.04 * vectors).numpy()


# ---------------------------------------------------------------- batches

def pad(texts, device):
    """id arrays without specials -> [B][T] with [CLS] and [SEP]"""
    out = np.full((len(texts), max(map(len, texts)) + 2), PAD, np.int64)
    for row, ids in zip(out, texts):
        row[0], row[len(ids) + 1] = CLS, SEP
        row[1:len(ids) + 1] = ids
    return torch.from_numpy(out).to(device)


def batches(examples, tokens, rng):
    """One pass over (ids, label): neighbours in length share a batch of about `tokens`,
    so that little is padding; the batches come in random order."""
    lengths = np.array([len(ids) for ids, _ in examples]) + 2
    order = np.argsort(lengths + rng.random(len(lengths)) * 2)
    out, start = [], 0
    while start < len(order):
        end = start + 1
        while end < len(order) and lengths[order[end]] * (end + 1 - start) <= tokens:
            end += 1
        out.append([examples[i] for i in order[start:end]])
        start = end
    return [out[i] for i in rng.permutation(len(out))]


def window(ids, rng, lengths):
    """A part of a long text: half of them its beginning, as truncation leaves it."""
    n = int(rng.choice(lengths))
    start = 0 if rng.random() < 0.5 else int(rng.integers(max(len(ids) - n, 0) + 1))
    return ids[start:start + n]


def masked_batches(stream, tok, rng, device, length=64, size=32):
    """Endless (ids, positions, which are to be predicted, the right words)."""
    body, vocab = length - 2, len(tok.pieces)
    while True:
        shift = int(rng.integers(body))
        n = (len(stream) - shift) // body
        for chunk in np.array_split(rng.permutation(n), n // size):
            body_ids = stream[shift:shift + n * body].reshape(n, body)[chunk]
            ids = np.full((len(chunk), length), SEP, np.int64)
            ids[:, 0], ids[:, 1:-1] = CLS, body_ids
            target = (rng.random(ids.shape) < 0.2) & (ids >= len(SPECIALS))
            right, dice = ids[target], rng.random(int(target.sum()))
            other = rng.integers(len(SPECIALS), vocab, len(dice))
            ids[target] = np.where(dice < 0.8, MASK, np.where(dice < 0.9, other, right))
            # A quarter of the chunks stands somewhere later, that all positions learn.
            offset = rng.integers(0, 512 - length + 1, len(chunk)) * (rng.random(len(chunk)) < 0.25)
            positions = np.arange(length) + offset[:, None] * (np.arange(length) > 0)
            yield [torch.from_numpy(x).to(device) for x in (ids, positions, target, right)]


def vary(ids, rng, tok):
    """Forget some words; sometimes write apostrophes as word processors do."""
    ids = np.where(rng.random(len(ids)) < 0.05, MASK, ids)
    if rng.random() < 0.1:
        ids = np.where(ids == tok.ids["'"], tok.ids["’"], ids)
    return ids


def labelled_batches(epoch, tokens, tok, rng, device):
    """Endless (ids, labels); `epoch` draws the examples of one pass."""
    while True:
        for batch in batches(epoch(rng), tokens, rng):
            yield (pad([vary(ids, rng, tok) for ids, _ in batch], device),
                   torch.tensor([float(y) for _, y in batch], device=device))


def distant_epoch(reviews):
    def draw(rng):
        return [(window(ids, rng, [14, 30, 62, 126]), y) for ids, y in reviews]
    return draw


NEGATED = ["not %s", "not %s at all", "not that %s", "it is not %s", "it was not %s", "it isn't %s",
           "it wasn't %s at all", "this is not %s.", "they were not %s", "i am not %s", "not a %s one"]
AFFIRMED = ["very %s", "it is %s", "it was really %s", "so %s", "this is %s.", "they were %s", "a %s one"]
VERBS = [("like", 1), ("love", 1), ("enjoy", 1), ("recommend", 1), ("hate", 0), ("regret", 0), ("dislike", 0)]
NEGATED_VERBS = ["i did not %s it", "i didn't %s it", "i do not %s this", "i don't %s it at all",
                 "we did not %s the film", "they don't %s them.", "i would not %s it"]
AFFIRMED_VERBS = ["i %s it", "we did %s the film", "i really %s this.", "i would %s it"]


def gradable(data):
    """Words that SST-2 labels alone and that reviews put after "very": nearly all of
    them adjectives."""
    after = collections.Counter()
    for text in [t for t, _ in data["reviews"]] + data["unlabelled"]:
        after.update(re.findall(r"\bvery ([a-z]+)", text.lower()))
    return [(text, y) for text, y in data["sst2"] if text.isalpha() and after[text] >= 10]


def contrasts(data, tok, rounds, verbs):
    """Short texts made by rule, since SST-2 has few of their kind: a negated adjective
    turns its label; of two parts joined by "but" the second decides.  Neither is always
    so, hence labels short of 0 and 1."""
    sources = [(gradable(data) * rounds, NEGATED, AFFIRMED), (verbs * 10 * rounds, NEGATED_VERBS, AFFIRMED_VERBS)]
    parts = [[natural(t) for t, y in data["sst2"] if y == label and 2 <= t.count(" ") <= 7]
             for label in (0, 1)]

    def draw(rng):
        texts = []
        for words, negated, affirmed in sources:
            for word, y in words:
                texts += [(rng.choice(negated) % word, 0.9 - 0.8 * y) for _ in range(2)]
                texts.append((rng.choice(affirmed) % word, y))
        for _ in range(1200):
            y = int(rng.integers(2))
            texts.append((rng.choice(["%s but %s", "%s, but %s"]) % (
                parts[1 - y][rng.integers(len(parts[1 - y]))],
                parts[y][rng.integers(len(parts[y]))]), 0.1 + 0.8 * y))
        return [(tok.encode(text), y) for text, y in texts]
    return draw


def finetune_epoch(phrases, reviews, made):
    """Longer phrases twice; either the Treebank or the natural form of each; texts made
    by rule; and windows of reviews, few of them whole, so that long texts stay familiar."""
    def draw(rng):
        out = made(rng)
        for forms, y in phrases:
            for _ in range(2 if len(forms[0]) >= 9 else 1):
                out.append((forms[int(rng.integers(2))], y))
        for lengths, n in (([14, 30], 4000), ([62, 126], 3000), ([254], 600), ([510], 200)):
            out += [(window(reviews[i][0], rng, lengths), reviews[i][1])
                    for i in rng.integers(len(reviews), size=n)]
        return out
    return draw


# ---------------------------------------------------------------- training

def train(stage, module, minutes, stream, loss_of, peak, a):
    """AdamW with warm-up and linear decay over `minutes` of training; resumable."""
    path = os.path.join(a.work, stage + ".pt")
    decayed = [p for p in module.parameters() if p.dim() > 1]
    others = [p for p in module.parameters() if p.dim() == 1]
    opt = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.01},
                             {"params": others, "weight_decay": 0.0}], betas=(0.9, 0.98))
    done = {"seconds": 0.0, "steps": 0, "tokens": 0, "loss": 0.0}
    if os.path.exists(path):
        saved = torch.load(path, map_location=a.device)
        module.load_state_dict(saved["module"])
        opt.load_state_dict(saved["opt"])
        done = saved["done"]
    batch_of = stream(np.random.default_rng([SEED, done["steps"]]))
    while done["seconds"] < 60 * minutes:
        begin = time.time()
        progress = done["seconds"] / (60 * minutes)
        for group in opt.param_groups:
            group["lr"] = peak * min(progress / 0.05 + 0.01, 1, (1 - progress) / 0.95)
        batch = next(batch_of)
        loss = loss_of(*batch)
        opt.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        opt.step()
        done["steps"] += 1
        done["tokens"] += batch[0].numel()
        done["loss"] += (loss.item() - done["loss"]) * max(0.01, 1 / done["steps"])
        spent = time.time() - begin
        done["seconds"] += spent
        if done["seconds"] % 30 < spent:
            save(path, module, opt, done)
            report(stage, done, minutes)
    save(path, module, opt, done)
    return dict(done)


def save(path, module, opt, done):
    torch.save({"module": module.state_dict(), "opt": opt.state_dict(), "done": done}, path + ".new")
    os.replace(path + ".new", path)


def report(stage, done, minutes):
    print("%-9s %5.1f of %g min  step %6d  %6.0f tokens/s  loss %.4f" % (
        stage, done["seconds"] / 60, minutes, done["steps"],
        done["tokens"] / done["seconds"], done["loss"]), flush=True)


def classification_loss(model, noise, doubt, a):
    """`doubt` is the share of labels not to be believed: label smoothing."""
    def loss_of(ids, y):
        logits = model(ids, a.dtype, noise)
        return F.binary_cross_entropy_with_logits(logits[:, 1] - logits[:, 0],
                                                  y * (1 - doubt) + doubt / 2)
    return loss_of


def pretrain(model, stream, tok, a):
    c = model.distilbert.embeddings.word_embeddings.weight
    both = nn.ModuleDict({"model": model, "head": WordPredictor(c.shape[1], c.shape[0]).to(a.device)})

    def loss_of(ids, positions, target, right):
        x = model.encode(ids, a.dtype, positions=positions)[target]
        return F.cross_entropy(both["head"](x, c), right)

    return train("pretrain", both, a.pretrain_minutes,
                 lambda rng: masked_batches(stream, tok, rng, a.device), loss_of, 1e-3, a)


# ---------------------------------------------------------------- export

def write_safetensors(path, state):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    arrays = {name: state[name].cpu().numpy().astype("<f2") for name in sorted(state)}
    for name, array in arrays.items():
        header[name] = {"dtype": "F16", "shape": list(array.shape),
                        "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for array in arrays.values():
            f.write(array.tobytes())


def read_safetensors(path):
    with open(path, "rb") as f:
        blob = f.read()
    size, = struct.unpack_from("<Q", blob)
    header = json.loads(blob[8:8 + size])
    header.pop("__metadata__", None)
    state = {}
    for name, t in header.items():
        first, last = (8 + size + x for x in t["data_offsets"])
        array = np.frombuffer(blob[first:last], "<f2").reshape(t["shape"])
        state[name] = torch.from_numpy(array.astype(np.float32))
    return state


def export(model, tok, a):
    os.makedirs(a.out, exist_ok=True)
    write_safetensors(os.path.join(a.out, "model.safetensors"), model.state_dict())
    with open(os.path.join(a.out, "config.json"), "w", encoding="ascii") as f:
        json.dump(config(len(tok.pieces), a), f, indent=2)
        f.write("\n")
    with open(os.path.join(a.out, "vocab.txt"), "w", encoding="utf-8", newline="\n") as f:
        f.writelines(piece + "\n" for piece in tok.pieces)


# ---------------------------------------------------------------- evaluation

EVERYDAY = ["not good", "not bad at all", "I love it", "terrible waste of money",
            "The food was cold but the staff made up for it", "This isn't what I ordered.",
            "I can't recommend this enough!", "It broke after two days.", "Works exactly as described.",
            "I would not buy this again.", "Great movie!", "The plot was boring and predictable."]
COUNTRIES = ["France", "Germany", "Italy", "Spain", "Canada", "Japan", "India", "China", "Brazil",
             "Mexico", "Nigeria", "Russia", "Iran", "Iraq", "Afghanistan", "Syria"]


def scores(model, tok, texts, device):
    """-> probability of POSITIVE, float32, whatever the training type was"""
    ids = [(tok.encode(text)[:510], i) for i, text in enumerate(texts)]
    out = np.zeros(len(texts))
    with torch.no_grad():
        for batch in batches(ids, 8192, np.random.default_rng(0)):
            logits = model(pad([x for x, _ in batch], device), torch.float32)
            out[[i for _, i in batch]] = logits.softmax(1)[:, 1].cpu().numpy()
    return out


def accuracy(model, tok, rows, device):
    p = scores(model, tok, [text for text, _ in rows], device)
    right = int(((p >= 0.5) == np.array([y == 1 for _, y in rows])).sum())
    return {"rows": len(rows), "right": right, "accuracy": round(right / len(rows), 4)}


def evaluate(data, tok, a):
    """Figures of the exported folder, read back: the rounded weights, not the trained ones."""
    model = Classifier(config(len(tok.pieces), a)).to(a.device)
    model.load_state_dict(read_safetensors(os.path.join(a.out, "model.safetensors")))
    figures = {name: accuracy(model, tok, data[name], a.device)
               for name in ("held_sst2", "dev", "held_imdb", "held_amazon")}
    figures["dev_natural"] = accuracy(model, tok, [(natural(t), y) for t, y in data["dev"]], a.device)
    films = ["This film was filmed in %s." % country for country in COUNTRIES]
    for name, texts in (("everyday", EVERYDAY), ("countries", films)):
        figures[name] = {t: round(float(p), 4) for t, p in zip(texts, scores(model, tok, texts, a.device))}
    figures["bytes"] = {name: os.path.getsize(os.path.join(a.out, name)) for name in sorted(os.listdir(a.out))}
    return figures


# ---------------------------------------------------------------- main

def encode_all(data, tok, work):
    """-> the whole text as one stream of ids, [SEP] after each text; cached, as it takes a minute"""
    path = os.path.join(work, "stream.npy")
    if not os.path.exists(path):
        texts = data["unlabelled"] + [t for t, _ in data["reviews"]] + [natural(t) for t, _ in data["sst2"]]
        parts = [part for t in texts for part in (tok.encode(t), np.array([SEP], np.uint16))]
        np.save(path, np.concatenate(parts))
    return np.load(path)


def arguments():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--data", required=True, help="folder with the corpora")
    ap.add_argument("--work", required=True, help="folder for checkpoints and figures")
    ap.add_argument("--out", required=True, help="folder of the finished model")
    ap.add_argument("--vocab-size", type=int, default=12000)
    ap.add_argument("--layers", type=int, default=3)
    ap.add_argument("--dim", type=int, default=256)
    ap.add_argument("--heads", type=int, default=4)
    ap.add_argument("--hidden", type=int, default=1024)
    ap.add_argument("--pretrain-minutes", type=float, default=8)
    ap.add_argument("--distant-minutes", type=float, default=10)
    ap.add_argument("--finetune-minutes", type=float, default=19)
    ap.add_argument("--polish-minutes", type=float, default=4)
    ap.add_argument("--threads", type=int, default=os.cpu_count())
    ap.add_argument("--compute", choices=["bfloat16", "float32"], default="bfloat16",
                    help="type of the products; bfloat16 pays only where the processor has it")
    return ap.parse_args()


def main():
    a = arguments()
    os.makedirs(a.work, exist_ok=True)
    torch.set_num_threads(a.threads)
    torch.manual_seed(SEED)
    random.seed(SEED)
    a.device = "cuda" if torch.cuda.is_available() else "cpu"
    a.dtype = getattr(torch, a.compute)

    data = load_data(a.data)
    print({name: len(rows) for name, rows in data.items()}, flush=True)
    tok = vocabulary(data, a.work, a.vocab_size)
    stream = encode_all(data, tok, a.work)
    print("%d pieces, %d tokens of text" % (len(tok.pieces), len(stream)), flush=True)

    path = os.path.join(a.work, "embeddings.npy")
    if not os.path.exists(path):
        np.save(path, word_vectors(np.where(stream == SEP, PAD, stream), len(tok.pieces), a.dim))
    model = Classifier(config(len(tok.pieces), a)).to(a.device)
    initialise(model, np.load(path))

    stages = {"pretrain": pretrain(model, stream, tok, a)}
    noise = Noise(0.1, a.device, a.dtype)
    reviews = [(tok.encode(text), y) for text, y in data["reviews"]]
    phrases = [((tok.encode(text), tok.encode(natural(text))), y) for text, y in data["sst2"]]
    few, many = contrasts(data, tok, 1, []), contrasts(data, tok, 20, VERBS)
    for stage, minutes, epoch, tokens, peak, doubt in (
            ("distant", a.distant_minutes, distant_epoch(reviews), 4096, 5e-4, 0.1),
            ("finetune", a.finetune_minutes, finetune_epoch(phrases, reviews, few), 2048, 4e-4, 0.04),
            ("polish", a.polish_minutes, finetune_epoch(phrases, reviews, many), 2048, 2e-4, 0.04)):
        stages[stage] = train(stage, model, minutes,
                              lambda rng: labelled_batches(epoch, tokens, tok, rng, a.device),
                              classification_loss(model, noise, doubt, a), peak, a)
    export(model, tok, a)
    figures = dict(evaluate(data, tok, a), stages=stages)
    with open(os.path.join(a.work, "starter-figures.json"), "w", encoding="utf-8") as f:
        json.dump(figures, f, indent=2, ensure_ascii=False)
    print(json.dumps(figures, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
