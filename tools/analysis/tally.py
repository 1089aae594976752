"""What a page says of many texts, counted while they go by."""
import math
from collections import defaultdict

BINS = 20
FEW = 30            # rows: of fewer a share says little


class Share:
    """Of n texts these many are positive."""

    def __init__(self):
        self.n = self.positive = 0

    def add(self, positive):
        self.n += 1
        self.positive += positive

    @property
    def few(self):
        return self.n < FEW

    @property
    def share(self):
        return self.positive / self.n if self.n else 0.0

    @property
    def interval(self):
        """Wilson's, 95 %"""
        if not self.n:
            return 0.0, 1.0
        z, n, p = 1.959964, self.n, self.share
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)


class Shortlist:
    """The different texts with the lowest keys, and how often each was there."""

    def __init__(self, size):
        self.size = size
        self.found = {}         # text -> [key, count, row]

    def add(self, key, row):
        known = self.found.get(row.text)
        if known:
            known[1] += 1
        elif len(self.found) < self.size or (key, row.text) < self.last()[:2]:
            self.found[row.text] = [key, 1, row]
            if len(self.found) > self.size:
                del self.found[self.last()[1]]

    def last(self):
        return max((key, text) for text, (key, _, _) in self.found.items())

    def rows(self):
        """-> [(row, count)], the lowest key first"""
        return [(row, count) for key, count, row in sorted(self.found.values(), key=lambda x: (x[0], x[2].text))]


class Tally:
    def __init__(self, positive_label, size=5):
        self.positive_label = positive_label
        self.all = Share()
        self.weeks, self.groups = defaultdict(Share), defaultdict(Share)
        self.bins = [0] * BINS
        self.between = self.nulls = self.unscored = self.empty = self.truncated = self.tokens = 0
        self.most, self.least, self.unsure = Shortlist(size), Shortlist(size), Shortlist(size)

    def add(self, row):
        if row.text is None or row.score is None:
            self.nulls += row.text is None
            self.unscored += row.text is not None
            return
        positive = row.label == self.positive_label
        for share in (self.all, self.weeks[row.week], self.groups[row.group]):
            share.add(positive)
        self.bins[min(int(row.score * BINS), BINS - 1)] += 1
        self.between += 0.4 <= row.score <= 0.6
        if row.tokens is not None:
            self.truncated += row.truncated
            self.tokens += row.tokens
            if row.tokens <= 2:     # [CLS] and [SEP]: nothing to read
                self.empty += 1
                return
        if positive:
            self.most.add(-row.score, row)
        else:
            self.least.add(row.score, row)
        self.unsure.add(abs(row.score - 0.5), row)
