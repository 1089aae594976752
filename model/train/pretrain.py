"""Masked-language training (Devlin et al. 2019) on the texts of the corpora, before anything is taught about them."""
import os
import random

import numpy as np
import torch
import torch.nn.functional as F

from examples import for_pretraining
from network import export, masked_language_model
from texts import load_texts
from training import Settings, batches, on_device, padded, train

PIECES = {"cpu": 16384, "cuda": 65536}      # of a batch
MASKED = 0.2                                # of them


def size(device):
    return lambda longest: max(1, PIECES[device.type] // padded(longest, device))


def masked(ids, tokenizer, rng):
    """ids: [B][T], int64.  Of a fifth of the pieces that are not [CLS], eight of ten become [MASK] and one another piece.
    -> the new ids, the places of that fifth in the flat array, what stood there"""
    places = np.flatnonzero((rng.random(ids.shape) < MASKED) & (ids != tokenizer.cls_token_id))
    out, what = ids.copy(), rng.random(len(places))
    out.flat[places[what < 0.8]] = tokenizer.mask_token_id
    others = places[what > 0.9]
    out.flat[others] = rng.integers(0, tokenizer.vocab_size, len(others))
    return out, places, ids.flat[places]


def masked_loss(model, tokenizer, seed):
    """The vocabulary is asked of the masked places alone: most of the work would be there otherwise."""
    def loss(batch, step):
        pieces = min(len(ids) for ids, _ in batch)
        pieces -= pieces % 32 if pieces > 64 else 0        # few shapes, as in padded()
        ids = np.stack([ids[:pieces] for ids, _ in batch]).astype(np.int64)
        arrays = masked(ids, tokenizer, np.random.default_rng([seed, step]))
        ids, places, wanted = [on_device(array, model.device) for array in arrays]
        hidden = model.distilbert(ids).last_hidden_state.flatten(0, 1).index_select(0, places)
        logits = model.vocab_projector(model.vocab_layer_norm(model.activation(model.vocab_transform(hidden))))
        return F.cross_entropy(logits.float(), wanted)
    return loss


def pretrain(a):
    torch.manual_seed(a.seed)
    model, tokenizer = masked_language_model(a.start)
    texts, rng = load_texts(a.data, tokenizer, a.work), random.Random(a.seed)
    plan = [batch for _ in range(a.epochs)
            for batch in batches(for_pretraining(texts, tokenizer, rng), size(model.device), rng)]
    train(model, plan, masked_loss(model, tokenizer, a.seed), Settings("pretrain", a.seed, a.rate, compute=a.compute),
          os.path.join(a.work, "pretrained.pt"))
    export(model, tokenizer, os.path.join(a.work, "pretrained"))
