#!/usr/bin/env python3
"""Train models for distilsst, in a virtual environment with model/train/requirements.txt.

  finetune   a model for your own labels, from your own rows
  pretrain   the encoder that teachers begin with, on the corpora without their labels
  teach      one teacher of the built-in model, on the corpora
  distil     the built-in model, from its teachers

All are seeded, show a progress bar and use a GPU where there is one.  The last three keep their
state in --work; the same command again goes on where the last one stopped.
"""
import argparse
import os

import torch
import transformers

from examples import TOLD
from finetune import finetune
from pretrain import pretrain
from teach import distil, teach


def add_common(parser, rate, epochs):
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--rate", type=float, default=rate, help="learning rate at its highest")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--compute", choices=["float32", "bfloat16"], default="float32",
                        help="type of the products: bfloat16 is faster on GPUs and on CPUs that are made for it")


def add_finetune(commands):
    parser = commands.add_parser("finetune", help="a model for your own labels")
    parser.add_argument("--from", dest="start", required=True,
                        help="folder or hub name of a DistilBERT or BERT, a classifier or not")
    rows = parser.add_mutually_exclusive_group(required=True)
    rows.add_argument("--data", help="CSV, or TSV without quotes with the ending .tsv, with a header; perhaps .gz")
    rows.add_argument("--query", help="SELECT that gives the rows")
    parser.add_argument("--dsn", default="", help="connection for --query; by default that of psql")
    parser.add_argument("--text", help="name of the texts' column (default: text, sentence or review)")
    parser.add_argument("--label", default="label", help="name of the labels' column")
    parser.add_argument("--out", required=True, help="folder of the finished model")
    parser.add_argument("--held-back", type=float, default=0.1, help="share of the rows to judge the model by")
    parser.add_argument("--tokens", type=int, default=128, help="longer texts are cut while training")
    parser.add_argument("--recipe", choices=["own", "card"], default="own",
                        help="card: the settings of the official model's card")
    add_common(parser, None, 3)
    parser.set_defaults(run=finetune)


def add_built_in(commands):
    for command, run, rate, epochs, what in (
            ("pretrain", pretrain, 4e-4, 8, "the encoder that teachers begin with, to WORK/pretrained"),
            ("teach", teach, 1e-4, 3, "one teacher of the built-in model, to WORK/teacher-SEED"),
            ("distil", distil, 1.2e-4, 2, "the built-in model, from its teachers")):
        parser = commands.add_parser(command, help=what)
        parser.add_argument("--data", required=True, help="folder with the corpora")
        parser.add_argument("--work", required=True, help="folder for the corpora's word pieces and for checkpoints")
        if command == "distil":
            parser.add_argument("--from", dest="start", nargs="+", required=True, help="folders of models, of whose weights "
                                "the mean is where the student begins")
            parser.add_argument("--teachers", nargs="+", help="folders of those that it learns from; not with --epochs 0")
            parser.add_argument("--sets", nargs="+", choices=list(TOLD), default=list(TOLD), help="what it reads")
            parser.add_argument("--share", type=float, default=1, help="of these texts")
            parser.add_argument("--out", required=True, help="folder of the finished model")
        else:
            parser.add_argument("--from", dest="start", required=True, help="folder with %s" % (
                "all-MiniLM-L6-v2" if command == "pretrain" else "the pretrained encoder"))
        add_common(parser, rate, epochs)
        parser.set_defaults(run=run)


def main():
    parser = argparse.ArgumentParser(prog="model/train", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_finetune(commands)
    add_built_in(commands)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    try:
        a.run(a)
    except (OSError, UnicodeDecodeError) as error:
        raise SystemExit("model/train: %s" % error)


if __name__ == "__main__":
    main()
