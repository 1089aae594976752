"""What a model says of texts, and how often it is right."""
import torch
import torch.nn.functional as F

from examples import WHOLE, framed
from swaps import COUNTRIES
from training import autocast, tensors

TOKENS = 32768        # of a batch
SETS = {"held_sst2": "SST-2 train, held back", "held_imdb": "IMDB, held back", "held_amazon": "Amazon, held back"}
CARD_SENTENCE = "This film was filmed in %s."


@torch.no_grad()
def answers(model, ids, pad, compute="float32"):
    """ids: a list for each text, [CLS] and [SEP] included -> probabilities [texts][labels]"""
    out = torch.empty(len(ids), model.config.num_labels)
    order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
    while order:
        size = max(1, TOKENS // len(ids[order[-1]]))
        batch, order = order[-size:], order[:-size]
        with autocast(model.device, compute):
            logits = model(**tensors([ids[i] for i in batch], pad, model.device)).logits
        out[batch] = logits.float().softmax(1).cpu()
    return out


def probabilities(model, tokenizer, texts, limit=None):
    """-> [texts][labels], of texts cut after `limit` word pieces, by default after as many as the model reads"""
    return answers(model, tokenizer(list(texts), truncation=True, max_length=limit)["input_ids"], tokenizer.pad_token_id)


def report(model, tokenizer, texts):
    """Prints the figures that runs are compared by."""
    for name, what in SETS.items():
        some = texts[name]
        said = answers(model, [framed(some[i][:WHOLE], tokenizer) for i in range(len(some))], tokenizer.pad_token_id)
        labels = torch.from_numpy(some.labels).long()
        right = int((said.argmax(1) == labels).sum())
        print("%-24s %5d of %5d  %.2f %%, cross entropy %.4f" % (what, right, len(said), 100 * right / len(said),
              F.nll_loss(said.log(), labels)), flush=True)
    films = probabilities(model, tokenizer, [CARD_SENTENCE % country for country in COUNTRIES])[:, 1]
    lowest, highest = int(films.argmin()), int(films.argmax())
    print("countries                %.3f (%s) to %.3f (%s): a gap of %.3f" % (
        films[lowest], COUNTRIES[lowest], films[highest], COUNTRIES[highest], films[highest] - films[lowest]), flush=True)
