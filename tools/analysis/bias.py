"""How far a model's answers depend on what should not matter: Markdown for its card, and a dot plot."""
import os
import statistics
from collections import Counter, defaultdict
from types import SimpleNamespace

from tqdm import tqdm

import arguments
import sets
from database import Database, run
from pages import markdown, percent, render, shortened, written

HERE = os.path.dirname(os.path.abspath(__file__))
CHUNK = 256             # texts a statement
WORST = 10


def table(header, rows):
    """Markdown; columns whose name begins with "#" are numbers"""
    lines = [[name.lstrip("#") for name in header], ["--:" if name[0] == "#" else "---" for name in header]]
    return "\n".join("| %s |" % " | ".join(cells) for cells in lines + [[str(cell) for cell in row] for row in rows])


def by_model(db):
    return "By `%s`, fingerprint `%s`." % (db.name, db.fingerprint)


# ---- templates and terms ----

def answers(db, templates, terms):
    """-> {template: [(term, score, label)]}"""
    said = {}
    for template in tqdm(templates, unit=" templates", disable=None):
        call = db.call("bias", "ARRAY[%(template)s::text], %(terms)s::text[]")
        said[template] = sorted(db.rows("SELECT term, score, label FROM %s" % call, template=template, terms=terms),
                                key=lambda row: (row[1], row[0]))
    return said


def flips(rows):
    """-> the terms whose label is not the template's commonest"""
    labels = Counter(label for _, _, label in rows)
    common = min(labels, key=lambda label: (-labels[label], label))
    return {term for term, _, label in rows if label != common}


def worst_terms(said):
    """-> [(term, mean distance from the template's median score, furthest, where, flips)], the furthest on the mean first"""
    distances, flipped = defaultdict(list), Counter()
    for template, rows in said.items():
        median = statistics.median(score for _, score, _ in rows)
        for term, score, _ in rows:
            distances[term].append((score - median, template))
        flipped.update(flips(rows))
    found = []
    for term, all_of in distances.items():
        furthest = max(all_of, key=lambda d: abs(d[0]))
        found.append((term, statistics.fmean(d for d, _ in all_of), *furthest, flipped[term]))
    return sorted(found, key=lambda f: (-abs(f[1]), f[0]))[:WORST]


def terms_report(db, a):
    templates = sets.templates(a.templates or os.path.join(HERE, "templates.txt"))
    terms = sets.terms(a.terms) if a.terms else [name for name, in db.rows("SELECT c FROM %s.sst2_countries() AS c" % db.schema)]
    said = answers(db, templates, terms)
    rows = [(markdown(template), "%.3f %s" % (of[0][1], markdown(of[0][0])), "%.3f %s" % (of[-1][1], markdown(of[-1][0])),
             "%.3f" % (of[-1][1] - of[0][1]), percent(len(flips(of)) / len(of))) for template, of in said.items()]
    text = [by_model(db) + " Templates: %d; terms in each: %d." % (len(templates), len(terms)),
            table(["template", "lowest score", "highest score", "#gap", "#flip rate"], rows),
            "Flip rate: the share of terms whose label is not the template's most common one. The terms furthest from the "
            "template's median score:",
            table(["term", "#mean distance", "#furthest", "in", "#flips"],
                  [(markdown(term), "%+.3f" % mean, "%+.3f" % most, markdown(template), "%d of %d" % (n, len(templates)))
                   for term, mean, most, template, n in worst_terms(said)])]
    strips = [strip(template, [score for _, score, _ in of], 0, 1,
                    "%s %.2f  to  %s %.2f" % (shortened(of[0][0], 24), of[0][1], shortened(of[-1][0], 24), of[-1][1]))
              for template, of in said.items()]
    return text, picture("The same sentence with %d different terms" % len(terms),
                         "Score by %s, 0 for %s to 1 for %s: a dot a term, all of which should be at one place"
                         % (db.name, other_label(db), db.labels[1]), strips, [0, 0.25, 0.5, 0.75, 1], 0, 1, "%.2f", 0.5)


# ---- pairs ----

def scores(db, texts):
    """-> {text: (score, label)}"""
    texts, said = list(dict.fromkeys(texts)), {}
    with tqdm(total=len(texts), unit=" texts", disable=None) as bar:
        for i in range(0, len(texts), CHUNK):
            some = texts[i:i + CHUNK]
            for text, score, label in db.rows("SELECT t, %s, %s FROM unnest(%%(texts)s::text[]) AS t"
                                              % (db.call("score", "t"), db.call("label", "t")), texts=some):
                said[text] = score, label
            bar.update(len(some))
    return said


def compared(pair, said):
    (first, a), (second, b) = said[pair.first], said[pair.second]
    return SimpleNamespace(pair=pair, first=first, second=second, difference=second - first, flips=a != b)


def summary(name, pairs):
    """A row: how the second texts' scores differ from the first ones'"""
    differences = [p.difference for p in pairs]
    return (markdown(name), len(pairs), "%.3f" % statistics.fmean(map(abs, differences)), "%+.3f" % statistics.fmean(differences),
            "%.3f" % max(map(abs, differences)), percent(sum(p.flips for p in pairs) / len(pairs)))


def pairs_report(db, title, what, second_less_first, pairs):
    said = scores(db, [text for pair in pairs for text in (pair.first, pair.second)])
    groups = defaultdict(list)
    for pair in pairs:
        groups[pair.group].append(compared(pair, said))
    every = [p for of in groups.values() for p in of]
    rows = [summary(name, of) for name, of in groups.items()] + ([summary("all", every)] if len(groups) > 1 else [])
    worst = sorted(every, key=lambda p: (-abs(p.difference), p.pair))[:WORST]
    text = [by_model(db) + " %s: %s. Differences are %s." % (title, what, second_less_first),
            table(["pairs", "#number", "#mean difference", "#with its sign", "#largest", "#labels flipped"], rows),
            "The pairs furthest apart:",
            table(["pairs", "#score", "text", "#score", "text"],
                  [(markdown(p.pair.group), "%.3f" % p.first, markdown(p.pair.first), "%.3f" % p.second, markdown(p.pair.second))
                   for p in worst])]
    strips = [strip(name, [p.difference for p in of], -1, 1, "mean %s, %s flip" % summary(name, of)[3::2])
              for name, of in groups.items()]
    subtitle = "%s by %s: a dot a pair, %s" % (title, db.name, second_less_first)
    return text, picture(what[0].upper() + what[1:], subtitle, strips, [-1, -0.5, 0, 0.5, 1], -1, 1, "%+.1f", 0)


# ---- the picture ----

WIDE, TALL, DOT = 820, 62, 4        # of a strip, and its dots' columns


def strip(name, values, low, high, note):
    """A row of the picture: dots that lie upon each other are moved up and down by turns"""
    columns = defaultdict(list)
    for value in sorted(values):
        columns[round((value - low) / (high - low) * WIDE / DOT)].append(value)
    step = min(DOT, (TALL - 30) / max(map(len, columns.values())))
    dots = [((value - low) / (high - low) * WIDE, (i + 1) // 2 * step * (-1) ** i)
            for column in columns.values() for i, value in enumerate(column)]
    return {"name": shortened(name, 70), "note": note, "dots": dots}


def picture(title, subtitle, strips, ticks, low, high, form, middle):
    marks = [((tick - low) / (high - low) * WIDE, (form % tick).replace("+0.0", "0")) for tick in ticks]
    return render("dots.svg", title=title, subtitle=subtitle, strips=strips, marks=marks, wide=WIDE, tall=TALL,
                  middle=(middle - low) / (high - low) * WIDE)


def other_label(db):
    return db.labels[0] if len(db.labels) == 2 else "the others"


# ---- commands ----

def asked(db, a):
    """-> the paragraphs and the picture of what was asked for"""
    if a.winogender:
        return pairs_report(db, "WinoGender", "the same sentence about someone of another gender",
                            "the first gender less the second", sets.winogender(a.winogender))
    if a.winobias:
        pairs = [pair for pro, anti in a.winobias for pair in sets.winobias(pro, anti)]
        return pairs_report(db, "WinoBias", "the same sentence with the stereotype of an occupation and against it",
                            "against it less with it", sorted(pairs, key=lambda pair: pair.group))
    if a.stereoset:
        return pairs_report(db, "StereoSet", "two sentences, a stereotype and its opposite, which differ in sense as well",
                            "the opposite less the stereotype", sets.stereoset(a.stereoset))
    return terms_report(db, a)


def main():
    a = arguments.bias()
    with written(a.svg) as f:
        text, svg = asked(Database(a.dsn, a.model), a)
        f.write(svg)
    print("\n\n".join(text))


if __name__ == "__main__":
    run("bias", main)
