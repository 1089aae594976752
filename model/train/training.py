"""The loop that every network is trained by."""
import os
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from corpora import SEED

SAVE_EVERY = 200     # steps


def train(stage, module, steps, stream, loss_of, peak, a):
    """AdamW with warm-up and linear decay.  stream(rng) yields the arguments of loss_of
    without end.  The state is kept in --work; a stage found there goes on or is done."""
    path = os.path.join(a.work, stage + ".pt")
    decayed = [p for p in module.parameters() if p.dim() > 1]
    others = [p for p in module.parameters() if p.dim() == 1]
    opt = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.01},
                             {"params": others, "weight_decay": 0.0}], betas=(0.9, 0.98))
    done = {"steps": 0, "tokens": 0, "seconds": 0.0, "loss": 0.0}
    if os.path.exists(path):
        saved = torch.load(path, map_location=a.device)
        module.load_state_dict(saved["module"])
        opt.load_state_dict(saved["opt"])
        done = saved["done"]
    batch_of = stream(np.random.default_rng([SEED, done["steps"]]))
    while done["steps"] < steps:
        begin = time.time()
        progress = done["steps"] / steps
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
        done["seconds"] += time.time() - begin
        if done["steps"] % SAVE_EVERY == 0 or done["steps"] == steps:
            save(path, module, opt, done)
        show(stage, done, steps)


def doubting(logit_of, doubt):
    """Binary cross-entropy; `doubt` is the share of labels not to be believed."""
    def loss_of(ids, y):
        return F.binary_cross_entropy_with_logits(logit_of(ids), y * (1 - doubt) + doubt / 2)
    return loss_of


def save(path, module, opt, done):
    torch.save({"module": module.state_dict(), "opt": opt.state_dict(), "done": done}, path + ".new")
    os.replace(path + ".new", path)


def show(stage, done, steps):
    """A progress bar, on one line that is written over."""
    share = done["steps"] / steps
    left = done["seconds"] / share - done["seconds"]
    print("\r%-10s |%-30s| %d of %d steps  loss %.4f  %.0f tokens/s  %d:%02d left " % (
        stage, "#" * int(30 * share), done["steps"], steps, done["loss"],
        done["tokens"] / done["seconds"], left // 60, left % 60), end="\n" if share == 1 else "", flush=True)
