"""speed.py OUT.json: every engine with both models, as bench/peers/run tells it in the environment."""
import json
import os
import sys

import numpy

import engines
from texts import accuracy, in_turn, labelled, made_reviews, sorted_batches, tokenizer

BATCHES = {"sentences": 32, "reviews": 8}
BOUND = 1e-3  # of logits in fp32


def progress(line):
    print("bench-peers: " + line, file=sys.stderr, flush=True)


def compare(ours, peers, texts):
    """Exits if a peer in fp32 has other logits than ours, alone or padded: it would compute something else."""
    expected = numpy.concatenate([ours.logits(batch) for batch in sorted_batches(texts, 8)])
    for peer in peers:
        padded = numpy.concatenate([peer.padded_logits(batch) for batch in sorted_batches(texts, 8)])
        worst = numpy.abs(padded - expected).max()
        progress("%s %s: logits differ from ours in fp32 by at most %.2g" % (peer.name, peer.precision, worst))
        if peer.precision == "fp32" and not worst <= BOUND:
            sys.exit("bench-peers: that is too much")


def measure(model, all_engines, texts, repeats):
    """-> a dict a row of the table: milliseconds a text of each engine"""
    for kind, size in BATCHES.items():
        for batch in (1, size):
            progress("%s, %d %s, batches of %d" % (model, len(texts[kind]), kind, batch))
            ms = in_turn([engine.timing(texts[kind], batch) for engine in all_engines], repeats)
            yield {"model": model, "texts": kind, "batch": batch, "ms": ms}


def main():
    env = os.environ
    rows, repeats = labelled(env["TSV"]), int(env["REPEATS"])
    wordpiece = tokenizer(env["ROOT"] + "/model/builtin")
    sentences = [wordpiece.encode(text).ids for text, _ in rows]
    reviews = [wordpiece.encode(text).ids for text in made_reviews(env["ROOT"], int(env["REVIEWS"]))]
    texts = {"sentences": sentences[:int(env["SENTENCES"])], "reviews": reviews}
    found = {"tokens": {kind: sum(map(len, some)) / len(some) for kind, some in texts.items()},
             "counts": {kind: len(some) for kind, some in texts.items()}, "rows": []}
    for model in ("official", "builtin"):
        folder = env["WORK"] + "/" + model
        ours = [engines.Distilsst(env["ENGINE"], "%s/%s.dsst" % (folder, precision), precision, folder + "/ids")
                for precision in ("int8", "fp32")]
        progress(model + ": opening and quantising")
        peers = engines.peers(folder, sentences[:int(env["CALIBRATION"])])
        compare(ours[1], peers, texts["sentences"][:16])
        found["engines"] = [(engine.name, engine.precision) for engine in ours + peers]
        found["rows"] += measure(model, ours + peers, texts, repeats)
        if model == "builtin":
            progress("accuracy over %d rows" % len(rows))
            labels = [label for _, label in rows]
            found["accuracy"] = [accuracy(engine.logits(sentences), labels) for engine in ours + peers]
    found["kernels"] = ours[0].kernels()
    with open(sys.argv[1], "w", encoding="ascii") as file:
        json.dump(found, file, indent=1)


main()
