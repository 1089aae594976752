#!/usr/bin/env python3
"""Train the starter model: python3 model/train --data DIR --work DIR --out DIR

The result is a Hugging Face folder of a small DistilBertForSequenceClassification
(config.json, model.safetensors in F16, vocab.txt), and the figures in its card.
The stages, of which each but the first has a file of its own:

  vocabulary   word pieces counted in all texts for training
  vectors      word vectors from co-occurrence counts, a head start that costs seconds
  pretrain     masked language model on reviews, no labels
  teacher      convolutional networks, and what they say of sentences without a label
  finetune     reviews and such sentences, then SST-2, then texts made by rule as well

Each keeps its result in --work and is resumed or skipped where it is found there.
Needs Python 3, numpy and torch >= 1.13, and a fast BLAS behind them; a GPU is used
where there is one.
"""
import argparse
import os
import random

import numpy as np
import torch

from corpora import SEED, load_data, natural, split_sentences
from evaluate import figures, write_card
from export import export
from finetune import finetune
from network import Classifier, config, initialise
from pretrain import pretrain
from teacher import soft_labels
from tokenizer import PAD, SEP
from vectors import word_vectors
from vocabulary import vocabulary

CARD = os.path.join(os.path.dirname(__file__), "../README.md")


def kept(work, name, make):
    """An array, from the folder of work if it is there."""
    path = os.path.join(work, name + ".npy")
    if not os.path.exists(path):
        np.save(path, make())
    return np.load(path)


def text_stream(data, tok):
    """-> all text for pre-training as one stream of ids, [SEP] after each"""
    texts = data["unlabelled"] + [t for t, _ in data["reviews"]] + [natural(t) for t, _ in data["sst2"]]
    return np.concatenate([part for text in texts for part in (tok.encode(text), np.array([SEP], np.uint16))])


def arguments():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--data", required=True, help="folder with the corpora")
    ap.add_argument("--work", required=True, help="folder for checkpoints")
    ap.add_argument("--out", required=True, help="folder of the finished model")
    ap.add_argument("--vocab-size", type=int, default=12000)
    ap.add_argument("--layers", type=int, default=3)
    ap.add_argument("--dim", type=int, default=256)
    ap.add_argument("--heads", type=int, default=4)
    ap.add_argument("--hidden", type=int, default=1024)
    ap.add_argument("--pretrain-steps", type=int, default=11000)
    ap.add_argument("--teacher-distant-steps", type=int, default=900)
    ap.add_argument("--teacher-finetune-steps", type=int, default=900)
    ap.add_argument("--taught-reviews", type=int, default=8000, help="reviews whose sentences the teacher labels")
    ap.add_argument("--distant-steps", type=int, default=1500)
    ap.add_argument("--finetune-steps", type=int, default=3000)
    ap.add_argument("--polish-steps", type=int, default=600)
    ap.add_argument("--threads", type=int, default=os.cpu_count())
    ap.add_argument("--compute", choices=["bfloat16", "float32"], default="bfloat16",
                    help="type of the products; bfloat16 pays only where the processor has it")
    return ap.parse_args()


def main():
    a = arguments()
    os.makedirs(a.work, exist_ok=True)
    torch.set_num_threads(a.threads)
    torch.manual_seed(SEED)
    random.seed(SEED)
    a.device = "cuda" if torch.cuda.is_available() else "cpu"
    a.dtype = getattr(torch, a.compute)

    data = load_data(a.data)
    print(", ".join("%s %d" % (name, len(rows)) for name, rows in data.items()), flush=True)
    tok = vocabulary(data, a.work, a.vocab_size)
    stream = kept(a.work, "stream", lambda: text_stream(data, tok))
    print("%d pieces, %d tokens of text" % (len(tok.pieces), len(stream)), flush=True)
    vectors = kept(a.work, "vectors",
                   lambda: word_vectors(np.where(stream == SEP, PAD, stream), len(tok.pieces), a.dim))

    model = Classifier(config(len(tok.pieces), a)).to(a.device)
    initialise(model, vectors)
    pretrain(model, stream, tok, a)
    reviews = [[tok.encode(sentence) for sentence in split_sentences(text)]
               for text in data["unlabelled"][:a.taught_reviews]]
    probabilities = kept(a.work, "soft-labels", lambda: soft_labels(reviews, data, vectors, tok, a))
    finetune(model, data, [sentence for review in reviews for sentence in review], probabilities, tok, a)
    export(model, tok, a)
    write_card(CARD, figures(data, tok, a))


if __name__ == "__main__":
    main()
