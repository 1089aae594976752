"""What a classifier learns from: pairs of ids, [CLS] and [SEP] included, and the probability of each label, or None
where others are to say it."""
from swaps import swapped

WINDOW = 94             # word pieces of a review for a teacher, without [CLS] and [SEP]
LONG_WINDOWS = [254, 254, 254, 510]     # for the student, who learns long texts


def window(ids, pieces, rng):
    """A part of a long text: its head, its tail, or one from anywhere"""
    place, rest = rng.random(), max(len(ids) - pieces, 0)
    start = 0 if place < 0.4 else rest if place < 0.8 else rng.randint(0, rest)
    return ids[start:start + pieces]


def encoded(rows, tokenizer, rng):
    """-> the word pieces of each text, in half of them terms swapped"""
    texts = [swapped(text, rng) if rng.random() < 0.5 else text for text, _ in rows]
    return tokenizer(texts, add_special_tokens=False)["input_ids"]


def example(ids, target, tokenizer):
    return [tokenizer.cls_token_id] + ids + [tokenizer.sep_token_id], target


def for_teacher(data, tokenizer, rng):
    """All short texts and a window of every other review"""
    rows = data["sst2"] + data["short"] + rng.sample(data["reviews"], len(data["reviews"]) // 2)
    return [example(window(ids, WINDOW, rng), one_hot(label, 2), tokenizer)
            for ids, (_, label) in zip(encoded(rows, tokenizer, rng), rows)]


def for_student(data, tokenizer, rng):
    """A third of the short texts, without labels: the teachers know better; and longer windows of every eighth review"""
    short = data["sst2"] + data["short"]
    short = rng.sample(short, len(short) // 3)
    reviews = rng.sample(data["reviews"], len(data["reviews"]) // 8)
    return [example(ids[:max(LONG_WINDOWS)], None, tokenizer) for ids in encoded(short, tokenizer, rng)] + \
        [example(window(ids, rng.choice(LONG_WINDOWS), rng), one_hot(label, 2), tokenizer)
         for ids, (_, label) in zip(encoded(reviews, tokenizer, rng), reviews)]


def one_hot(label, labels):
    return [float(i == label) for i in range(labels)]
