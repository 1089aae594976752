"""What a model says of texts, and how often it is right."""
import torch

from swaps import COUNTRIES
from training import tensors

TOKENS = 16384        # of a batch
SETS = {"held_sst2": "SST-2 train, held back", "held_imdb": "IMDB, held back", "held_amazon": "Amazon, held back"}
CARD_SENTENCE = "This film was filmed in %s."


@torch.no_grad()
def probabilities(model, tokenizer, texts, limit=None):
    """-> [texts][labels], of texts cut after `limit` word pieces, by default after as many as the model reads"""
    ids = tokenizer(list(texts), truncation=True, max_length=limit)["input_ids"]
    out = torch.empty(len(ids), model.config.num_labels)
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    while order:
        size = max(1, TOKENS // len(ids[order[-1]]))
        batch, order = order[-size:], order[:-size]
        logits = model(**tensors([ids[i] for i in batch], tokenizer.pad_token_id, model.device)).logits
        out[batch] = logits.float().softmax(1).cpu()
    return out


def report(model, tokenizer, data):
    """Prints the figures that runs are compared by."""
    for name, what in SETS.items():
        said = probabilities(model, tokenizer, [text for text, _ in data[name]]).argmax(1)
        right = int((said == torch.tensor([label for _, label in data[name]])).sum())
        print("%-24s %5d of %5d  %.2f %%" % (what, right, len(said), 100 * right / len(said)), flush=True)
    films = probabilities(model, tokenizer, [CARD_SENTENCE % country for country in COUNTRIES])[:, 1]
    lowest, highest = int(films.argmin()), int(films.argmax())
    print("countries                %.3f (%s) to %.3f (%s): a gap of %.3f" % (
        films[lowest], COUNTRIES[lowest], films[highest], COUNTRIES[highest], films[highest] - films[lowest]), flush=True)
