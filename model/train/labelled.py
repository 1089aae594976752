"""Rows of users: texts and their labels, from a file or a query."""
import csv
import gzip
import random
import sys

TEXT_COLUMNS = ["text", "sentence", "review"]


def open_text(path):
    return (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8-sig", newline="")


def read_file(path):
    """A CSV, or a TSV without quotes, with a header, perhaps gzipped -> names of the columns, rows"""
    tsv = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
    csv.field_size_limit(sys.maxsize)
    with open_text(path) as f:
        rows = list(csv.reader(f, **(tsv if path.removesuffix(".gz").endswith(".tsv") else {})))
    if not rows:
        raise SystemExit("%s: empty" % path)
    for number, row in enumerate(rows[1:], 2):
        if row and len(row) != len(rows[0]):
            raise SystemExit("%s: row %d has %d columns, the header has %d" % (path, number, len(row), len(rows[0])))
    return rows[0], [row for row in rows[1:] if row]


def read_query(query, dsn):
    """-> names of the columns, rows; dsn may be empty, as for psql"""
    import psycopg
    try:
        with psycopg.connect(dsn) as connection:
            connection.read_only = True
            cursor = connection.execute(query)
            return [column.name for column in cursor.description or []], cursor.fetchall()
    except psycopg.Error as error:
        raise SystemExit("--query: %s" % error)


def column(names, wanted):
    for name in wanted:
        if name in names:
            return names.index(name)
    raise SystemExit("no column named %s; there are: %s" % (" or ".join(wanted), ", ".join(names)))


def labelled_rows(names, rows, text, label):
    """-> [(text, label)], both strings, of rows that have both; of equal texts the first"""
    text, label = column(names, [text] if text else TEXT_COLUMNS), column(names, [label])
    out = {}
    for row in rows:
        if row[text] is not None and row[label] is not None and str(row[text]).strip() and str(row[label]).strip():
            out.setdefault(str(row[text]).strip(), str(row[label]).strip())
    return list(out.items())


def names_of_labels(rows, known):
    """known: the names of the model's own labels.  Rows that have no others mean these, by name
    or by id; otherwise the rows' labels are new ones, numbers in their order."""
    found = {label for _, label in rows}
    if found <= set(known):
        return known
    if len(found) == len(known) and found == {str(i) for i in range(len(known))}:
        return known
    if len(found) < 2:
        raise SystemExit("the rows need two labels at least; there is: %s" % ", ".join(found))
    return sorted(found, key=lambda name: (0, int(name), "") if name.isdecimal() else (1, 0, name))


def hold_back(rows, share, seed):
    """-> rows to train on, rows to judge by: of every label the same share, at least one"""
    rng, train, held = random.Random(seed), [], []
    for label in sorted({label for _, label in rows}):
        of_label = [row for row in rows if row[1] == label]
        if len(of_label) < 2:
            raise SystemExit("label %s: a row to learn from and one to judge by are wanted, there is one in all" % label)
        rng.shuffle(of_label)
        n = max(1, round(share * len(of_label)))
        held += of_label[:n]
        train += of_label[n:]
    return train, held
