"""A page about the texts of a table: how many are positive, when, where, and why.

What it says comes from SQL alone, in one transaction that only reads; the page asks for nothing from anywhere."""
import base64
import hashlib
import re
import time
from collections import namedtuple

import psycopg
from tqdm import tqdm

import arguments
from database import Database, run
from pages import render, shortened, visible, written
from tally import BINS, Share, Tally

SENT = 20000            # characters of a text that come from the server: all that a model reads, but of odd texts
SHOWN = 600             # characters of a text on the page
WORDS = 130             # tokens: longer texts are explained by sentences, since each unit costs a pass
GROUPS = 20             # the largest that are shown
WEEKS = 260             # five years
SHADES = 5
TEXTS = ("text", "character varying", "character", "citext", "name")
SCORES = ("real", "double precision", "numeric")

Row = namedtuple("Row", "text length score label tokens truncated week group")     # of a stored score tokens is None


# ---- what is asked ----

def column(db, relation, given):
    """The column of this name, as it is spelled or else as SQL reads it -> (its name in a query, its type)"""
    names = ("SELECT attname, quote_ident(attname), coalesce(nullif(typbasetype, 0), t.oid)::regtype::text FROM pg_attribute "
             "JOIN pg_type t ON t.oid = atttypid WHERE attrelid = %(relation)s::oid AND attnum > 0 AND NOT attisdropped")
    as_read = given[1:-1].replace('""', '"') if re.fullmatch('"([^"]|"")+"', given) else given.lower()
    found = db.rows(names + " AND attname IN (%(given)s, %(as_read)s) ORDER BY attname = %(given)s DESC LIMIT 1",
                    relation=relation, given=given, as_read=as_read)
    if not found:
        there = ", ".join(visible(name) for name, _, _ in db.rows(names + " ORDER BY attnum", relation=relation))
        raise SystemExit('there is no column "%s"; there are: %s' % (given, there))
    return found[0][1].replace("%", "%%"), found[0][2]


def table(db, given):
    """The table or view of this name, as SQL reads it or else as it is spelled -> (its oid, its full name quoted)"""
    return db.rows("SELECT oid, relnamespace::regnamespace || '.' || quote_ident(relname) FROM pg_class "
                   "WHERE oid = %(given)s::regclass", given=given if is_name(db, given) else quoted(given))[0]


def quoted(name):
    return '"%s"' % name.replace('"', '""')


def is_name(db, given):
    """Is there a table that SQL finds by what was given?"""
    try:
        with db.connection.transaction():
            return db.rows("SELECT to_regclass(%(given)s)", given=given)[0][0] is not None
    except psycopg.Error:       # no name at all, such as one with a blank
        return False


def week_of(name, kind):
    """SQL of the Monday that a time's week begins with; what Python has no date for counts as no time."""
    if not kind.startswith(("date", "timestamp")):
        raise SystemExit("--time needs a date or a timestamp, and the column %s is of type %s" % (name, kind))
    return ("CASE WHEN isfinite({0}) AND {0} >= '0001-01-08' AND {0} < '9999-12-01' THEN date_trunc('week', {0})::date END"
            .format(name))


def stored_score(db, oid, given):
    """SQL of a score that is stored, or of none"""
    if not given:
        return "NULL::real"
    name, kind = column(db, oid, given)
    if kind not in SCORES:
        raise SystemExit("--score needs a column of %s, and the column %s is of type %s" % (" or ".join(SCORES), name, kind))
    return name + "::real"


def answers(db, a):
    """SQL of score, label, tokens and truncated"""
    if a.score:
        return "score, CASE WHEN score > 0.5 THEN '%s' ELSE '%s' END, NULL, NULL" % (db.labels[1], db.labels[0])
    return "%s, (%s).label, (%s).tokens, (%s).truncated" % (db.call("score", "body"), *3 * [db.call("classify", "body")])


def query(db, a):
    """-> the rows' source and what is selected of it"""
    oid, relation = table(db, a.table)
    text, kind = column(db, oid, a.text)
    if kind not in TEXTS:
        raise SystemExit("--text needs a column of texts, and the column %s is of type %s" % (text, kind))
    week = week_of(*column(db, oid, a.time)) if a.time else "NULL::date"
    group = column(db, oid, a.group)[0] + "::text" if a.group else "NULL::text"
    source = "SELECT %s::text AS body, %s AS score, %s AS week, %s AS kind FROM %s" % (
        text, stored_score(db, oid, a.score), week, group, relation.replace("%", "%%"))
    if a.sample:
        source += " ORDER BY random() LIMIT %d" % a.sample
    return relation, "SELECT left(body, %d), length(body), %s, week, left(kind, 200) FROM (%s) AS rows" % (
        SENT, answers(db, a), source)


def read(db, a, tally):
    """Adds all rows to the tally. -> (the table's name, how many rows it has)"""
    relation, select = query(db, a)
    there = db.rows("SELECT count(*) FROM %s" % relation.replace("%", "%%"))[0][0]
    if a.sample:
        db.rows("SELECT setseed(0.5)")
    with tqdm(total=min(there, a.sample or there), unit=" texts", desc="reading" if a.score else "classifying",
              disable=None) as bar:
        for row in map(Row._make, db.stream(select)):
            if row.score is not None and not 0 <= row.score <= 1:
                raise SystemExit("--score needs probabilities, 0 to 1 as of sst2_score(), and a score is %s" % row.score)
            tally.add(row)
            bar.update()
    return relation, there


# ---- what moved a text's score ----

def explained(db, row):
    """-> [(start, length, weight)], by words or by sentences; nothing where the score is stored, where the model has not two
    labels, or where it read more of the text than came here"""
    if row.tokens is None:
        return []
    unit = "word" if row.tokens <= WORDS else "sentence"
    score, parts = db.call("score", "%(text)s::text"), db.call("explain", "%(text)s::text, %(unit)s::text")
    try:
        with db.connection.transaction():
            return db.rows("SELECT start, length, weight FROM %s WHERE %s = %%(score)s::real ORDER BY start" % (parts, score),
                           text=row.text, unit=unit, score=row.score)
    except (psycopg.errors.FeatureNotSupported, psycopg.errors.ProgramLimitExceeded):
        return []


def pieces(db, row):
    """-> [(text, shade from -SHADES to SHADES, weight or None)] of the part that is shown"""
    # SQL_ASCII counts bytes.
    whole = row.text.encode() if db.counts_bytes else row.text
    plain = (lambda part: part.decode("utf-8", "replace")) if db.counts_bytes else (lambda part: part)
    weights = explained(db, row)
    heaviest = max((abs(weight) for _, _, weight in weights), default=0) or 1
    out, at = [], 0
    for start, length, weight in weights + [(len(whole) + 1, 0, 0)]:
        out.append((plain(whole[at:start - 1]), 0, None))
        at = start - 1 + length
        out.append((plain(whole[start - 1:at]), round(SHADES * weight / heaviest), weight))
    return list(cut(out, SHOWN))


def cut(parts, most):
    for text, shade, weight in parts:
        if text and most > 0:
            yield visible(text[:most]), shade, weight
        most -= len(text)


def painted(db, tally):
    """-> {shortlist: [a text to show]}"""
    lists = {"most": tally.most, "least": tally.least, "unsure": tally.unsure}
    bar = tqdm(total=sum(len(texts.rows()) for texts in lists.values()), unit=" texts", desc="explaining",
               disable=None if db.name else True)
    out, known = {}, {}         # a text can be in two lists, and some cost a minute
    for name, texts in lists.items():
        out[name] = []
        for row, count in texts.rows():
            if row.text not in known:
                known[row.text] = pieces(db, row)
            out[name].append({"pieces": known[row.text], "score": row.score, "count": count, "more": max(0, row.length - SHOWN)})
            bar.update()
    bar.close()
    return out


# ---- the page ----

def histogram(bins):
    """-> per bin: its count, its height from 0 to 1, and whether it is named: the highest one of each side"""
    highest = max(bins) or 1
    half = BINS // 2
    named = {bins.index(max(bins[:half])), half + bins[half:].index(max(bins[half:]))}
    return [{"count": n, "height": n / highest, "named": i in named and n > 0} for i, n in enumerate(bins)]


def window(weeks):
    """The weeks of the WEEKS in a row that have the most rows: times are mistyped -> [(week, Share)]"""
    known = sorted((week, share) for week, share in weeks.items() if week)
    best, first, rows = (0, 0, 0), 0, 0
    for last, (week, share) in enumerate(known):
        rows += share.n
        while (week - known[first][0]).days > 7 * (WEEKS - 1):
            rows -= known[first][1].n
            first += 1
        best = max(best, (rows, first, last + 1), key=lambda b: b[0])
    return known[best[1]:best[2]]


def timeline(weeks):
    """-> the weeks with their places from 0 to 100 across, and runs of weeks that follow each other"""
    shown = window(weeks)
    if not shown:
        return None
    days = (shown[-1][0] - shown[0][0]).days or 1
    most = max(share.n for _, share in shown)
    points, runs = [], []
    for week, share in shown:
        low, high = share.interval
        x = 2 + 96 * (week - shown[0][0]).days / days if len(shown) > 1 else 50
        point = {"x": x, "week": week, "share": share, "low": low, "high": high, "rows": share.n / most}
        if not points or (week - points[-1]["week"]).days > 7:
            runs.append([])
        points.append(point)
        runs[-1].append(point)
    return {"points": points, "runs": runs, "most": most, "step": 96 * 7 / days if len(shown) > 1 else 10,
            "left_out": sum(s.n for w, s in weeks.items() if w) - sum(s.n for _, s in shown),
            "without": weeks[None].n if None in weeks else 0}


def ranking(groups):
    """-> the largest groups, the most positive first, and what is left of the others"""
    largest = sorted(groups.items(), key=lambda g: (-g[1].n, g[0] is None, g[0] or ""))
    shown, others = largest[:GROUPS], largest[GROUPS:]
    shown.sort(key=lambda g: (-g[1].share, g[0] is None, g[0] or ""))
    rest = Share()
    rest.n, rest.positive = sum(s.n for _, s in others), sum(s.positive for _, s in others)
    return {"shown": [{"name": None if name is None else shortened(name, 80), "share": share} for name, share in shown],
            "others": len(others), "rest": rest}


def server(db):
    said = db.rows("SELECT split_part(current_setting('server_version'), ' ', 1), current_database()::text, "
                   "current_setting('TimeZone'), to_char(now(), 'FMDD FMMonth YYYY, HH24:MI')")[0]
    return dict(zip(("version", "database", "zone", "now"), said))


def page(db, a, began):
    tally = Tally(db.labels[1])
    relation, there = read(db, a, tally)
    texts = painted(db, tally)
    style = render("report.css")
    policy = "default-src 'none'; style-src 'sha256-%s'; img-src data:; base-uri 'none'; form-action 'none'" % (
        base64.b64encode(hashlib.sha256(style.encode()).digest()).decode())
    return render("report.html", style=style, policy=policy, tally=tally, texts=texts, server=server(db), db=db, there=there,
                  names={name: visible(getattr(a, name) or "") for name in ("text", "score", "time", "group")},
                  relation=visible(relation), positive=visible(db.labels[1]), sample=a.sample,
                  negative=visible(db.labels[0]) if len(db.labels) == 2 else "not %s" % visible(db.labels[1]),
                  histogram=histogram(tally.bins), timeline=timeline(tally.weeks) if a.time else None,
                  ranking=ranking(tally.groups) if a.group else None, seconds=time.monotonic() - began)


def main():
    a = arguments.report()
    began = time.monotonic()
    with written(a.out) as f:
        f.write(page(Database(a.dsn, a.model, answers=not a.score), a, began))


if __name__ == "__main__":
    run("report", main)
