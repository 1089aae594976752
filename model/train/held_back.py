#!/usr/bin/env python3
"""Writes the rows that the built-in model is not trained on, for make accuracy: python3 model/train/held_back.py DATA OUT

DATA is the folder with the corpora; OUT gets held_imdb.tsv, held_amazon.tsv and held_sst2.tsv: label<TAB>sentence.
"""
import os
import sys

from corpora import load_data


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    data, out = load_data(sys.argv[1]), sys.argv[2]
    os.makedirs(out, exist_ok=True)
    for name in ("held_imdb", "held_amazon", "held_sst2"):
        with open(os.path.join(out, name + ".tsv"), "w", encoding="utf-8") as f:
            f.write("label\tsentence\n")
            f.writelines("%d\t%s\n" % (y, " ".join(text.split())) for text, y in data[name])


if __name__ == "__main__":
    main()
