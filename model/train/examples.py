"""What is learned from: texts with [CLS] and [SEP], and of each what its answer is to be."""
import numpy as np

WINDOW = 126            # word pieces of a part of a review, without [CLS] and [SEP]
WHOLE = 510             # of a whole review: as many as the model reads
# What a student reads, and how much of a text's target its label tells
TOLD = {"written": 0.9, "sst2": 0.0, "short": 0.0, "sentences": 0.25, "unlabelled_sentences": 0.0, "reviews": 0.5,
        "unlabelled": 0.0}
WRITTEN_TIMES = 3       # a student reads each of the few sentences written for it


def window(ids, pieces, rng):
    """A part of a long text: its head, its tail, or one from anywhere"""
    place, rest = rng.random(), max(len(ids) - pieces, 0)
    start = 0 if place < 0.4 else rest if place < 0.8 else rng.randint(0, rest)
    return ids[start:start + pieces]


def framed(ids, tokenizer):
    out = np.empty(len(ids) + 2, np.uint16)
    out[0], out[1:-1], out[-1] = tokenizer.cls_token_id, ids, tokenizer.sep_token_id
    return out


def one_hot(label, labels):
    return [float(i == label) for i in range(labels)]


def for_pretraining(texts, tokenizer, rng):
    """All texts that are not held back -> [(ids, None)]"""
    return [(framed(window(texts[name][i], WHOLE, rng), tokenizer), None)
            for name in ("sst2", "short", "reviews", "unlabelled") for i in range(len(texts[name]))]


def for_teacher(texts, tokenizer, rng, seed):
    """SST-2, of the other short texts, whose labels are weak, two thirds, so that a teacher has an opinion of its own on the
    rest, and of each review a part or all of it -> [(ids, probability of each label)]"""
    sst2, short, reviews = texts["sst2"], texts["short"], texts["reviews"]
    rows = [(sst2.either(i, rng), sst2.labels[i]) for i in range(len(sst2))]
    rows += [(short.either(i, rng), short.labels[i]) for i in range(len(short)) if i % 3 != seed % 3]
    rows += [(window(reviews.either(i, rng), rng.choice([WINDOW, WHOLE]), rng), reviews.labels[i]) for i in range(len(reviews))]
    return [(framed(ids, tokenizer), one_hot(label, 2)) for ids, label in rows]


def for_student(texts, tokenizer, rng, sets, share):
    """A share of these sets, of the unlabelled reviews half as much, of what was written for it all and several times
    -> [(ids, label or -1, told)]: the label tells that much of the target, the teachers tell the rest.  They know short
    texts better than their labels do; a review's label is right for a part of its sentences."""
    def chosen(name, n):
        if name == "written":
            return list(range(n)) * WRITTEN_TIMES
        return rng.sample(range(n), round(share * n / (2 if name == "unlabelled" else 1)))

    return [(framed(window(texts[name].either(i, rng), WHOLE, rng), tokenizer), int(texts[name].labels[i]), TOLD[name])
            for name in sets for i in chosen(name, len(texts[name]))]
