"""The loop that every classifier is trained by."""
import dataclasses
import os
import time

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

SAVE_EVERY = 300     # seconds


@dataclasses.dataclass
class Settings:
    name: str                   # on the progress bar
    seed: int = 1
    rate: float = 6e-5          # at the end of the warm-up
    warmup: int = 300           # batches
    weight_decay: float = 0.01
    compute: str = "float32"    # or bfloat16, the type of the products


def padded(longest, device):
    """The length of a batch: a GPU is to meet few shapes, since each new one costs it a tenth of a second."""
    if device.type != "cuda":
        return longest
    step = 8 if longest <= 64 else 32
    return -(-longest // step) * step


def batches(examples, size, rng):
    """One pass over (ids, target): texts of similar length share a batch, so that little is padding; the batches come
    in random order.  size(longest) texts are a batch."""
    order = sorted(rng.sample(range(len(examples)), len(examples)), key=lambda i: -len(examples[i][0]))
    out, start = [], 0
    while start < len(order):
        end = start + size(len(examples[order[start]][0]))
        out.append([examples[i] for i in order[start:end]])
        start = end
    rng.shuffle(out)
    return out


def on_device(array, device):
    """The array on the device; a GPU goes on with its work meanwhile."""
    out = torch.from_numpy(array)
    return out.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else out.to(device)


def tensors(texts, pad, device):
    """Lists of ids -> input_ids [B][T], and where something is padding attention_mask [B][1][1][T], false there"""
    lengths = np.array([len(ids) for ids in texts])
    ids = np.full((len(texts), padded(lengths.max(), device)), pad, np.int64)
    for row, text in zip(ids, texts):
        row[:len(text)] = text
    inputs = {"input_ids": on_device(ids, device)}
    if lengths.min() < ids.shape[1]:
        inputs["attention_mask"] = on_device((np.arange(ids.shape[1]) < lengths[:, None])[:, None, None], device)
    return inputs


def optimiser(model, weight_decay):
    """AdamW on all trainable weights, with decay of matrices only"""
    learning = [p for p in model.parameters() if p.requires_grad]
    return torch.optim.AdamW([{"params": [p for p in learning if p.dim() > 1], "weight_decay": weight_decay},
                              {"params": [p for p in learning if p.dim() == 1], "weight_decay": 0.0}], fused=True)


def rate(step, steps, settings):
    """Linear warm-up, then linear decay to 0 at the end"""
    return settings.rate * min((step + 1) / settings.warmup, 1, (steps - step) / max(steps - settings.warmup, 1))


def cross_entropy(model, pad):
    """The loss where a batch has pairs of ids and the probability of each label"""
    def loss(batch, _step):
        logits = model(**tensors([ids for ids, _ in batch], pad, model.device)).logits
        return F.cross_entropy(logits.float(), on_device(np.array([target for _, target in batch], np.float32), model.device))
    return loss


def autocast(device, compute):
    return torch.autocast(device.type, torch.bfloat16, enabled=compute == "bfloat16")


def train(model, plan, loss_of, settings, path=None):
    """plan: the batches in their order; loss_of(batch, step).  The state is kept in `path`, and a run
    found there goes on where it was: on the same machine with the same result as without the stop."""
    opt, first, mean, saved = optimiser(model, settings.weight_decay), 0, None, time.monotonic()
    torch.manual_seed(settings.seed)
    if path and os.path.exists(path):
        first = load(path, model, opt)
    model.train()
    bar = tqdm(range(first, len(plan)), initial=first, total=len(plan), mininterval=1, unit="batch", desc=settings.name)
    for step in bar:
        for group in opt.param_groups:
            group["lr"] = rate(step, len(plan), settings)
        with autocast(model.device, settings.compute):
            loss = loss_of(plan[step], step)
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        mean = loss.detach() if mean is None else torch.lerp(mean, loss.detach(), 0.01)
        if step % 20 == 0:       # not after every batch: a GPU would wait
            bar.set_postfix(loss="%.4f" % mean.item(), refresh=False)
        if path and (time.monotonic() > saved + SAVE_EVERY or step + 1 == len(plan)):
            save(path, model, opt, step + 1)
            saved = time.monotonic()
    model.eval()


def save(path, model, opt, step):
    state = {"model": model.state_dict(), "opt": opt.state_dict(), "step": step, "random": torch.get_rng_state(),
             "random_cuda": torch.cuda.get_rng_state_all()}
    torch.save(state, path + ".new")
    os.replace(path + ".new", path)


def load(path, model, opt):
    state = torch.load(path, map_location="cpu")
    model.load_state_dict(state["model"])
    opt.load_state_dict(state["opt"])
    torch.set_rng_state(state["random"])
    torch.cuda.set_rng_state_all(state["random_cuda"])
    return state["step"]
