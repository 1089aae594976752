"""A table of reviews that nobody wrote: sentences.txt, two to a review, over half a year."""
import datetime
import os
import random

HERE = os.path.dirname(os.path.abspath(__file__))
FIRST_DAY = datetime.date(2026, 1, 5)       # a Monday
WEEKS = 26
UPDATE = 15                                 # the week of one that spoils the headphones
PLEASED = {"kettle": (0.85, 0.85), "headphones": (0.90, 0.15), "tent": (0.35, 0.35)}    # share of reviews before it and after


def sentences():
    """-> {product: {"+", "-" or "~": [sentence]}}"""
    found = {}
    with open(os.path.join(HERE, "sentences.txt"), encoding="utf-8") as f:
        for line in f.read().splitlines()[1:]:
            if line[1] != " ":
                found[line] = product = {"+": [], "-": [], "~": []}
            else:
                product[line[0]].append(line[2:])
    return found


def reviews(n=1500, seed=1):
    """-> n rows (day, product, review)"""
    rng, said = random.Random(seed), sentences()
    for _ in range(n):
        product = rng.choices(["kettle", "headphones", "tent"], [4, 5, 2])[0]
        week = rng.choices(range(WEEKS), [20 - abs(w - 14) for w in range(WEEKS)])[0]
        kind = "+" if rng.random() < PLEASED[product][week >= UPDATE] else "-"
        kinds = rng.choice([[kind], [kind, kind], [kind, kind], ["~", kind], ["~"]])
        parts = []
        for one in kinds:
            parts.append(rng.choice([s for s in said[product][one] if s not in parts]))
        yield FIRST_DAY + datetime.timedelta(days=7 * week + rng.randrange(7)), product, " ".join(parts)


def fill(connection, table="reviews", **options):
    """Makes the table, by a connection in autocommit."""
    connection.execute("CREATE TABLE %s (created_at date, product text, review text)" % table)
    with connection.cursor().copy("COPY %s FROM STDIN" % table) as copy:
        for row in reviews(**options):
            copy.write_row(row)
