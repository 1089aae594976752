"""From texts to tensors: padded batches of texts of about one length."""
import numpy as np
import torch

from tokenizer import CLS, PAD, SEP


def padded(texts, device):
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
