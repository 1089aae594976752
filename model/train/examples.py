"""What a classifier learns from: pairs of ids, [CLS] and [SEP] included, and the probability of each label."""
from swaps import swapped

WINDOW = 94    # word pieces of a review, without [CLS] and [SEP]


def window(ids, rng):
    """A part of a long text: its head, its tail, or one from anywhere"""
    place, rest = rng.random(), max(len(ids) - WINDOW, 0)
    start = 0 if place < 0.4 else rest if place < 0.8 else rng.randint(0, rest)
    return ids[start:start + WINDOW]


def examples(data, tokenizer, rng):
    """One epoch: all short texts and a window of every other review, in half of them terms swapped"""
    rows = data["sst2"] + data["short"] + rng.sample(data["reviews"], len(data["reviews"]) // 2)
    texts = [swapped(text, rng) if rng.random() < 0.5 else text for text, _ in rows]
    encoded = tokenizer(texts, add_special_tokens=False)["input_ids"]
    return [([tokenizer.cls_token_id] + window(ids, rng) + [tokenizer.sep_token_id], one_hot(label, 2))
            for ids, (_, label) in zip(encoded, rows)]


def one_hot(label, labels):
    return [float(i == label) for i in range(labels)]
