"""WordPiece as uncased BERT has it: normalise, split into words, cut the words into pieces."""
import unicodedata

import numpy as np

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PAD, UNK, CLS, SEP, MASK = range(5)
MAX_WORD = 100       # characters; a longer word is one [UNK]


# Set off by spaces although they are letters, as in BERT.
CJK = [(0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
       (0x2B740, 0x2B81F), (0x2B920, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F)]


class CharMap(dict):
    """For str.translate: what each character becomes, worked out when first met.

    This uses the Unicode version of the Python that runs it; the extension fixes
    the version.  The two differ only on characters that no training text has."""

    def __missing__(self, code):
        self[code] = self.rule(chr(code))
        return self[code]

    @staticmethod
    def rule(ch):
        category = unicodedata.category(ch)
        if ch in "\t\n\r" or category in ("Zs", "Zl", "Zp"):
            return " "
        if ch == "\ufffd" or category in ("Cc", "Cf", "Co"):
            return ""
        out = "".join(c.lower() for c in unicodedata.normalize("NFD", ch)
                      if unicodedata.category(c) != "Mn")
        ascii_symbol = ch.isascii() and not ch.isalnum()
        cjk = any(first <= ord(ch) <= last for first, last in CJK)
        return " %s " % out if ascii_symbol or cjk or category[0] == "P" else out


CHAR_MAP = CharMap()


def split_words(text):
    return text.translate(CHAR_MAP).split()


class Tokenizer:
    """WordPiece, longest match first.  Special tokens written out in a text are not
    looked for: no training text has them."""

    def __init__(self, pieces):
        self.pieces = pieces
        self.ids = {piece: i for i, piece in enumerate(pieces)}
        self.cache = {}

    def word(self, word):
        """-> ids of one word, remembered since most words are met again."""
        if word not in self.cache:
            self.cache[word] = self.cut(word)
        return self.cache[word]

    def cut(self, word):
        out, start = [], 0
        while start < len(word) <= MAX_WORD:
            prefix = "##" if start else ""
            end = len(word)
            while end > start and prefix + word[start:end] not in self.ids:
                end -= 1
            if end == start:
                return [UNK]
            out.append(self.ids[prefix + word[start:end]])
            start = end
        return out or [UNK]

    def encode(self, text):
        """-> uint16 ids without [CLS] and [SEP]"""
        return np.array([i for w in split_words(text) for i in self.word(w)], np.uint16)
