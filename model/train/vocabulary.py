"""The vocabulary: single characters, whole words, and pieces by byte-pair encoding."""
import collections
import os

from corpora import natural
from tokenizer import SPECIALS, Tokenizer, split_words


# Characters that ordinary text may hold beyond those frequent in the training text.
EXTRA_CHARACTERS = "".join(map(chr, range(33, 127))) + "¡¿«»“”‘’‚„–—…•·´`£€¥¢§©®™°±×÷½¼¾²³µßæøœđðþłı"


def count_words(data):
    count = collections.Counter()
    for text, _ in data["sst2"]:
        count.update(split_words(natural(text)))
    for text in [t for t, _ in data["reviews"]] + data["unlabelled"]:
        count.update(split_words(text))
    return count


def learn_vocabulary(count, size):
    """Specials, single characters, then the most frequent words whole and, in the last
    fifth, pieces for the words that are left."""
    letters = collections.Counter()
    for word, n in count.items():
        for ch in word:
            letters[ch] += n
    characters = {c for c in EXTRA_CHARACTERS if not c.isupper()}
    characters |= {c for c, n in letters.items() if n >= 100}
    pieces = SPECIALS + sorted(characters) + ["##" + c for c in sorted(characters)]
    known = set(pieces)
    ranked = [w for w, n in sorted(count.items(), key=lambda item: (-item[1], item[0]))
              if w not in known and n >= 3]
    n_words = (size - len(pieces)) * 4 // 5
    pieces += ranked[:n_words]
    known.update(pieces)
    rest = {w: count[w] for w in ranked[n_words:] if set(w) <= characters and len(w) <= 30}
    for piece in merges(rest):
        if len(pieces) == size:
            break
        if piece not in known:
            known.add(piece)
            pieces.append(piece)
    return pieces


def merges(count):
    """Byte-pair encoding: yields pieces, the most useful first."""
    words = [[w[0]] + ["##" + c for c in w[1:]] for w in count]
    weight = list(count.values())
    pairs, where = collections.Counter(), collections.defaultdict(set)
    for i, word in enumerate(words):
        for pair in zip(word, word[1:]):
            pairs[pair] += weight[i]
            where[pair].add(i)
    while pairs:
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        joined = best[0] + best[1][2:]
        for i in where.pop(best):
            for pair in zip(words[i], words[i][1:]):
                pairs[pair] -= weight[i]
            words[i] = join(words[i], best, joined)
            for pair in zip(words[i], words[i][1:]):
                pairs[pair] += weight[i]
                where[pair].add(i)
        del pairs[best]
        yield joined


def join(word, pair, joined):
    out, i = [], 0
    while i < len(word):
        if tuple(word[i:i + 2]) == pair:
            out.append(joined)
            i += 2
        else:
            out.append(word[i])
            i += 1
    return out


def vocabulary(data, work, size):
    path = os.path.join(work, "vocab.txt")
    if not os.path.exists(path):
        pieces = learn_vocabulary(count_words(data), size)
        with open(path + ".new", "w", encoding="utf-8", newline="\n") as f:
            f.writelines(piece + "\n" for piece in pieces)
        os.replace(path + ".new", path)
    with open(path, encoding="utf-8", newline="\n") as f:
        return Tokenizer(f.read().split("\n")[:-1])
