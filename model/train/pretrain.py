"""Masked language model: what the network learns of English before it is told of feelings."""
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from network import WordPredictor
from tokenizer import CLS, MASK, SEP, SPECIALS
from training import train


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


def pretrain(model, stream, tok, a):
    words = model.distilbert.embeddings.word_embeddings.weight
    head = WordPredictor(words.shape[1], words.shape[0]).to(a.device)
    count = torch.from_numpy(np.bincount(stream, minlength=len(words)) + 1.0)
    head.bias.data.copy_((count / count.sum()).log())
    both = nn.ModuleDict({"model": model, "head": head})

    def loss_of(ids, positions, target, right):
        x = model.encode(ids, a.dtype, positions=positions)[target]
        return F.cross_entropy(head(x, words), right)

    train("pretrain", both, a.pretrain_steps,
          lambda rng: masked_batches(stream, tok, rng, a.device), loss_of, 1.5e-3, a)
