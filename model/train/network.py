"""DistilBERT in small, and how its weights begin."""
import itertools
import math
import random

import torch
import torch.nn.functional as F
from torch import nn

from tokenizer import PAD

LABELS = ["NEGATIVE", "POSITIVE"]


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
        for block, offsets in zip(model.distilbert.transformer.layer, itertools.cycle(NEAR)):
            look_near(block.attention, offsets)


# Where each head of a layer begins to look: so many words further on; at any word (None).
NEAR = [(-1, 1, 0, None), (-1, 1, -2, None), (-1, 1, 2, None)]


def frequencies(dim):
    return torch.exp(-torch.arange(0, dim, 2) * math.log(1e4) / dim)


def sinusoids(positions, dim):
    """About as large as the word vectors.  Neighbouring positions start alike, so that the
    far ones, which few texts reach, are never far from trained ones."""
    angle = torch.arange(positions)[:, None] * frequencies(dim)
    return 0.04 * torch.cat([angle.sin(), angle.cos()], 1)


def look_near(attention, offsets):
    """Heads that begin as a convolution: a small transformer that first has to find out that
    neighbours matter needs twice the steps.  A turn of the sines and cosines of position i
    by `offset` gives those of position i + offset, so that the product of query and key is
    largest there.  A half of the frequencies is enough, the faster one."""
    dim = attention.q_lin.weight.shape[1]
    rows = dim // attention.heads
    sines = torch.arange(rows // 2) * (dim // 2 // rows)
    cosines = sines + dim // 2
    for head, offset in zip(range(attention.heads), itertools.cycle(offsets)):
        if offset is None:
            continue
        query, key = (lin.weight[head * rows:(head + 1) * rows].zero_() for lin in (attention.q_lin, attention.k_lin))
        turn = frequencies(dim)[sines] * offset
        even, odd = torch.arange(0, rows, 2), torch.arange(1, rows, 2)
        key[even, sines] = key[odd, cosines] = torch.tensor(SHARPNESS)
        query[even, sines] = query[odd, cosines] = SHARPNESS * turn.cos()
        query[even, cosines], query[odd, sines] = SHARPNESS * turn.sin(), -SHARPNESS * turn.sin()


SHARPNESS = 0.85     # of the first attention to neighbours
