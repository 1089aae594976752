"""The loop that every classifier is trained by."""
import dataclasses
import os

import torch
import torch.nn.functional as F
from tqdm import tqdm

SAVE_EVERY = 200     # batches


@dataclasses.dataclass
class Settings:
    name: str                   # on the progress bar
    seed: int = 1
    rate: float = 6e-5          # at the end of the warm-up
    warmup: int = 300           # batches
    weight_decay: float = 0.01
    compute: str = "float32"    # or bfloat16, the type of the products


def batches(examples, size, rng):
    """One pass over (ids, target): texts of similar length share a batch, so that little is
    padding; the batches come in random order."""
    order = sorted(rng.sample(range(len(examples)), len(examples)), key=lambda i: len(examples[i][0]))
    out = [[examples[i] for i in order[start:start + size]] for start in range(0, len(order), size)]
    rng.shuffle(out)
    return out


def tensors(texts, pad, device):
    """Lists of ids -> input_ids [B][T], and attention_mask where something is padding"""
    longest = max(map(len, texts))
    ids = torch.tensor([ids + [pad] * (longest - len(ids)) for ids in texts], device=device)
    if all(len(text) == longest for text in texts):
        return {"input_ids": ids}
    lengths = torch.tensor([len(text) for text in texts], device=device)
    return {"input_ids": ids, "attention_mask": (torch.arange(longest, device=device) < lengths[:, None]).long()}


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
        return F.cross_entropy(logits.float(), torch.tensor([target for _, target in batch], device=model.device))
    return loss


def train(model, plan, loss_of, settings, path=None):
    """plan: the batches in their order; loss_of(batch, step).  The state is kept in `path`, and a run
    found there goes on where it was: on the same machine with the same result as without the stop."""
    opt, first, mean = optimiser(model, settings.weight_decay), 0, None
    torch.manual_seed(settings.seed)
    if path and os.path.exists(path):
        first = load(path, model, opt)
    model.train()
    bar = tqdm(range(first, len(plan)), initial=first, total=len(plan), mininterval=1, unit="batch", desc=settings.name)
    for step in bar:
        for group in opt.param_groups:
            group["lr"] = rate(step, len(plan), settings)
        with torch.autocast(model.device.type, torch.bfloat16, enabled=settings.compute == "bfloat16"):
            loss = loss_of(plan[step], step)
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        mean = loss.item() if mean is None else mean + (loss.item() - mean) / 100
        bar.set_postfix(loss="%.4f" % mean, refresh=False)
        if path and ((step + 1) % SAVE_EVERY == 0 or step + 1 == len(plan)):
            save(path, model, opt, step + 1)
    model.eval()


def save(path, model, opt, step):
    torch.save({"model": model.state_dict(), "opt": opt.state_dict(), "step": step, "random": torch.get_rng_state()},
               path + ".new")
    os.replace(path + ".new", path)


def load(path, model, opt):
    saved = torch.load(path, map_location="cpu")
    model.load_state_dict(saved["model"])
    opt.load_state_dict(saved["opt"])
    torch.set_rng_state(saved["random"])
    return saved["step"]
