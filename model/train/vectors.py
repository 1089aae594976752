"""Word vectors from co-occurrence counts: a head start that costs seconds."""
import math

import numpy as np
import torch

from tokenizer import PAD


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
