"""Texts of all kinds, and vocabularies in which they are not all [UNK]"""
import collections
import json
import os
import random
import re
import sys
import unicodedata

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
GOLDEN = os.path.join(os.path.dirname(__file__), "../../../shared/golden")
WORDS = """a an the film movie plot of and is was not no never it good great bad awful boring fine acting n't isn't Don't I we
they who but so very too much more most less least touching moving hilarious dull mess masterpiece WOW
Oscar 10/10 $5 50% e.g. U.S.
re-watch well-made naïve café déjà Über façade İstanbul IŞIK straße ﬁne ﬂat Ångström ΣΊΣΥΦΟΣ Москва ёлка Йод мёд हिन्दी ไทย 한국어
ひらがな カタカナ 映画 这部 电影 很好 よかった が が 🙂 👍🏽 🇫🇷 𝐛𝐨𝐥𝐝 ﷺ ½ № ™""".split()
# ranges of characters that take a way of their own somewhere, and those between
RANGES = [(0x20, 0x7F), (0x80, 0x24F), (0x250, 0x36F), (0x370, 0x52F), (0x530, 0x6FF), (0x900, 0xDFF),
          (0xE00, 0x10FF), (0x1100, 0x11FF), (0x1E00, 0x206F), (0x2070, 0x2BFF), (0x3000, 0x30FF), (0x3400, 0x3500),
          (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0xFB00, 0xFFFD), (0x10000, 0x10FFF), (0x1D100, 0x1D7FF),
          (0x1F300, 0x1FAFF), (0x20000, 0x2FA1F), (0xE0000, 0xE01EF)]


def golden():
    """Texts of the golden files, where they are at hand"""
    for name in ("edge", "docs", "reviews", "fuzz", "trunc512"):
        path = os.path.join(GOLDEN, "tokenizer_%s.jsonl" % name)
        if os.path.exists(path):
            with open(path, encoding="utf-8") as lines:
                yield from (json.loads(line)["text"] for line in lines)


def character(rng):
    low, high = rng.choice(RANGES)
    c = chr(rng.randint(low, high))
    return "." if unicodedata.category(c) == "Cs" else c


def made(count, seed):
    rng = random.Random(seed)
    bits = [lambda: rng.choice(WORDS), lambda: rng.choice(SPECIAL), lambda: rng.choice(SPECIAL).lower(), lambda: character(rng),
            lambda: "".join(character(rng) for _ in range(rng.randint(1, 9))), lambda: rng.choice(WORDS).upper(),
            lambda: rng.choice(WORDS) + rng.choice("\u0300\u0301\u0308\u0327\u20dd"),
            lambda: rng.choice(WORDS) * rng.randint(1, 60),
            lambda: rng.choice(" \t\n\r\x0b\x0c\x85\xa0\u1680\u2028\u3000\u200b\xad\ufeff\x01"),
            lambda: unicodedata.normalize(rng.choice(["NFC", "NFD", "NFKD"]), rng.choice(WORDS))]
    for _ in range(count):
        chosen = [rng.choice(bits)() for _ in range(int(rng.paretovariate(0.9)) % 700)]
        yield "".join(bit + rng.choice(["", " ", " ", " "]) for bit in chosen)


def texts(count=1200, seed=1):
    """Some thousand texts with the golden files, else count; none has what PostgreSQL's text cannot hold"""
    return ["", " "] + [text for text in [*golden(), *made(count, seed)] if "\0" not in text]


def vocabulary(cased=False, accents=False, size=6000, seed=2):
    """Pieces of such texts, as often as not whole words, ids in random order"""
    rng = random.Random(seed)
    counts = collections.Counter()
    for text in texts(600, seed=3):
        text = text if cased else text.lower()
        text = text if accents else "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
        for word in re.findall(r"\w+|[^\w\s]", text):
            counts[word] += 2
            cut = rng.randint(1, len(word))
            counts.update([word[:cut], "##" + word[cut:], "##" + word[-1]] + list(word) + ["##" + c for c in word])
    pieces = [piece for piece, _ in counts.most_common(size)
              if piece.strip() == piece and piece not in ("", "##") and len(piece) < 90]
    pieces = list(dict.fromkeys(SPECIAL + pieces))
    rng.shuffle(pieces)
    return {piece: i for i, piece in enumerate(pieces)}


def all_characters(accents):
    """A vocabulary of every character, at a word's beginning and inside; without accents, of those that keep their place"""
    chars = [chr(c) for c in range(0x21, sys.maxunicode + 1)
             if unicodedata.category(chr(c)) not in ("Cc", "Cn", "Co", "Cs", "Zs", "Zl", "Zp")]
    chars = [c for c in chars if accents or not unicodedata.combining(c)]
    return {piece: i for i, piece in enumerate(SPECIAL + chars + ["##" + c for c in chars])}


def sweep():
    """Texts in which every code point that a text can have stands between two letters"""
    chars = [chr(c) for c in range(1, sys.maxunicode + 1) if not 0xD800 <= c <= 0xDFFF]
    return [" ".join("a%sb" % c for c in chars[i:i + 1000]) for i in range(0, len(chars), 1000)]
