import gzip
import os
import re
import sys
import tempfile
import unittest

import psycopg

import browser
import made_up
from page import Page
from tools import ROOT, bias, report

sys.path.insert(0, os.path.join(ROOT, "tools/analysis"))
from tally import Share, Shortlist  # noqa: E402

OWNED = "document.title='owned';console.error('owned')"
HOSTILE = [
    "<script>%s</script>" % OWNED, '<img src=x onerror="%s"> good' % OWNED, '"><svg onload=%s>' % OWNED, "' onmouseover='x' bad",
    "</style></title></blockquote><script>%s</script>" % OWNED, "<!-- good ]]> &lt;b&gt; &amp;", "<plaintext>",
    "<link rel=stylesheet href=http://127.0.0.1:9/x><iframe src=http://127.0.0.1:9/y>", "{{ 7 * 191 }} {% raw %} lovely",
    "\u202eevol \u2067 it", "\u05d6\u05d4 \u05e0\u05d4\u05d3\u05e8 good", "a\x01b\x08\x1b[31m\x7f\x9b lovely",
    "Z" + "\u0301" * 300,
    "good " * 200000, "x" * 1000000]


class Tallies(unittest.TestCase):
    def test_interval(self):
        """The interval is Wilson's: published values"""
        for positive, n, expected in ((8, 10, (0.4902, 0.9433)), (0, 10, (0, 0.2775)), (10, 10, (0.7225, 1)), (0, 0, (0, 1))):
            share = Share()
            for i in range(n):
                share.add(i < positive)
            self.assertEqual(tuple(round(x, 4) for x in share.interval), expected)

    def test_shortlist(self):
        """A shortlist has the lowest keys, each text once, with its count"""
        shortlist = Shortlist(3)
        for key in (5, 2, 9, 2, 1, 7, 2, 5, 3):
            shortlist.add(key, type("Row", (), {"text": str(key)}))
        self.assertEqual([(row.text, count) for row, count in shortlist.rows()], [("1", 1), ("2", 3), ("3", 1)])


class Report(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.sql = psycopg.connect("", autocommit=True)
        cls.addClassCleanup(cls.sql.close)
        folder = os.environ.get("PAGES")
        if not folder:
            made = tempfile.TemporaryDirectory()
            cls.addClassCleanup(made.cleanup)
            folder = made.name
        cls.folder = os.path.abspath(folder)
        made_up.fill(cls.sql)
        cls.first = cls.page("first", "--table", "reviews", "--text", "review", "--time", "created_at", "--group", "product")

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder, name + ".html")

    @classmethod
    def page(cls, name, *arguments, **environment):
        said = report(*arguments, "-o", cls.path(name), **environment)
        if said.returncode:
            raise AssertionError(said.stderr)
        with open(cls.path(name), encoding="utf-8") as f:
            return Page(f.read())

    def refused(self, *arguments, **environment):
        said = report(*arguments, "-o", self.path("refused"), **environment)
        self.assertEqual(said.returncode, 1)
        self.assertNotIn("Traceback", said.stderr)
        self.assertEqual([f for f in os.listdir(self.folder) if f.startswith("refused")], [])
        return said.stderr.strip()

    def rows(self, query, *arguments):
        return self.sql.execute(query, arguments).fetchall()

    def table(self, name, rows, columns="said text"):
        """A table with these rows; gone after the test"""
        self.sql.execute("CREATE TABLE %s (%s)" % (name, columns))
        self.addCleanup(self.sql.execute, "DROP TABLE %s CASCADE" % name)
        with self.sql.cursor().copy("COPY %s FROM STDIN" % name) as copy:
            for row in rows:
                copy.write_row(row if isinstance(row, tuple) else (row,))

    # ---- what it says ----

    def test_shares(self):
        """Shares by all, by group and by week, and the histogram, are those of the labels in SQL"""
        share = "SELECT round(100.0 * count(*) FILTER (WHERE sst2_label(review) = 'POSITIVE') / count(*))::int, count(*)"
        (whole, n), = self.rows(share + " FROM reviews")
        self.assertEqual(self.first.texts("h1"), ["%d %% of %s texts are POSITIVE" % (whole, format(n, ","))])
        names = [text for _, attributes, text in self.first.find("span", "name") if text]
        shown = list(zip(names, self.first.texts("span", "share"), self.first.texts("span", "n")[1:]))
        groups = self.rows(share + ", product FROM reviews GROUP BY product ORDER BY 1 DESC")
        self.assertEqual(shown, [(name, "%d %%" % p, str(k)) for p, k, name in groups])
        labels = [attributes.get("aria-label", "") for _, attributes, _ in self.first.find("svg")]
        weeks = self.rows(share + ", date_trunc('week', created_at)::date FROM reviews GROUP BY 3 ORDER BY 3")
        by_week = next(label for label in labels if label.startswith("Share by week"))
        found = re.findall(r"(\d{4}-\d\d-\d\d) ([\d.]+) % of (\d+);", by_week)
        self.assertEqual([(w, k) for w, _, k in found], [(str(w), str(k)) for _, k, w in weeks])
        self.assertTrue(all(abs(float(p) - q) <= 0.5 for (_, p, _), (q, _, _) in zip(found, weeks)))
        bins = dict(self.rows("SELECT width_bucket(sst2_score(review), 0, 1, 20), count(*) FROM reviews GROUP BY 1"))
        histogram = next(label for label in labels if label.startswith("Histogram")).split(": ")[1]
        self.assertEqual(histogram.split(), [str(bins.get(i, 0)) for i in range(1, 21)])

    def test_texts(self):
        """The most and least certain texts are shown, whole, with the words by which sst2_explain() explains them"""
        shown = self.first.texts("blockquote")
        for order, ours in (("-sst2_score(review)", shown[:5]), ("sst2_score(review)", shown[5:10]),
                            ("abs(sst2_score(review) - 0.5)", shown[10:])):
            best = self.rows('SELECT review FROM reviews GROUP BY 1 ORDER BY %s, review COLLATE "C" LIMIT 5' % order)
            self.assertEqual(ours, [text for text, in best])
        weights = self.rows("SELECT part, weight FROM sst2_explain(%s::text)", shown[0])
        heaviest = max(abs(weight) for _, weight in weights)
        shades = [(part, round(5 * weight / heaviest)) for part, weight in weights]
        expected = [(part, "%s%d" % ("p" if shade > 0 else "n", abs(shade))) for part, shade in shades if shade]
        marks = [(text, attributes["class"]) for _, attributes, text in self.first.find("mark") if "title" in attributes]
        self.assertEqual(marks[:len(expected)], expected)

    def test_facts(self):
        """NULL, empty and truncated texts are counted, and the model is named"""
        self.table("mixed", [None, None, "", " ", "good", "good " * 600])
        page = self.page("mixed", "--table", "mixed", "--text", "said")
        facts = page.facts()
        name, fingerprint = self.rows("SELECT name, sst2_fingerprint() FROM sst2_model()")[0]
        self.assertEqual(page.texts("h1")[0].split(" of ")[1], "4 texts are POSITIVE")
        self.assertEqual([facts[x].split(":")[0].split(" ")[0] for x in ("Texts", "Truncated", "NULL", "Nothing to read")],
                         ["4,", "1", "2", "2"])
        self.assertIn(name, facts["Model"])
        self.assertEqual(facts["Fingerprint"], fingerprint)

    def test_weeks(self):
        """Weeks begin on Monday in the server's time zone; what no calendar has is counted apart, as are stray years"""
        times = ["2026-01-04 23:30+00", "2026-01-05 12:00+00", "infinity", "0044-03-15 BC", "9999-12-31", "1970-01-01", None]
        self.table("times", [("good", time) for time in times], "said text, at timestamptz")
        page = self.page("times", "--table", "times", "--text", "said", "--time", "at", PGOPTIONS="-c timezone=Europe/Berlin")
        label = next(a["aria-label"] for _, a, _ in page.find("svg") if a.get("aria-label", "").startswith("Share by week"))
        self.assertEqual(re.findall(r"(\d{4}-\d\d-\d\d) \S+ % of (\d+)", label), [("2026-01-05", "2")])
        caption = page.texts("figcaption")[1]
        self.assertIn("Europe/Berlin", caption)
        self.assertIn("1 texts are of other years", caption)
        self.assertIn("Texts without a date, or with none that a calendar has: 4", caption)

    def test_sample(self):
        """A sample has as many rows as were asked for, and the page says so"""
        page = self.page("sample", "--table", "reviews", "--text", "review", "--sample", "100")
        self.assertIn("of 100 texts", page.texts("h1")[0])
        self.assertIn("from a random sample of 100 of 1,500 rows", page.texts("p")[0])
        self.assertEqual(report("--table", "reviews", "--text", "review", "--sample", "0", "-o", "x").returncode, 2)

    def test_stored_scores(self):
        """Stored scores make the same page, but for what they do not say, in a database without model and extension"""
        self.sql.execute("CREATE DATABASE apart")
        self.addCleanup(self.sql.execute, "DROP DATABASE apart")
        rows = self.rows("SELECT created_at, product, review, sst2_score(review) FROM reviews")
        with psycopg.connect("dbname=apart", autocommit=True) as sql:
            for kind in ("real", "double precision", "numeric"):
                sql.execute('CREATE TABLE "%s" (created_at date, product text, review text, "Sco%%re" %s)' % (kind, kind))
                with sql.cursor().copy('COPY "%s" FROM STDIN' % kind) as copy:
                    for row in [*rows, (None, None, "not yet", None), (None, None, None, 0.9), (None, None, None, None)]:
                        copy.write_row(row)
        sql.close()
        for kind in ("real", "double precision", "numeric"):
            page = self.page("stored", "--table", kind, "--text", "review", "--score", "Sco%re", "--time", "created_at",
                             "--group", "product", PGDATABASE="apart")
            for part in (("h1",), ("span", "share"), ("span", "n"), ("span", "score"), ("blockquote",), ("figcaption",),
                         ("text",)):
                self.assertEqual(page.texts(*part), [text.replace("POSITIVE", "positive").replace("NEGATIVE", "negative")
                                                     for text in self.first.texts(*part)])
        self.assertEqual([a for _, a, _ in page.find("mark")], [])
        self.assertIn("these are not coloured", page.texts("p", "soft")[-1])
        facts = page.facts()
        self.assertEqual([facts[x].split(":")[0] for x in ("Texts", "NULL", "Without a score", "Scores")],
                         ["1,500", "2", "1", "stored in column Sco%re"])
        self.assertEqual(facts.keys() & {"Model", "Truncated", "Nothing to read"}, set())
        self.table("unscored", [("good", None), (None, 0.5)], "said text, score real")
        page = self.page("stored", "--table", "unscored", "--text", "said", "--score", "score")
        self.assertEqual(page.texts("h1"), ["There are no texts to read"])
        self.assertIn("2 rows, none of them with a text and a score", page.texts("p")[0])

    def test_wrong_scores(self):
        """What is no probability is refused"""
        for wrong in ("87.5", "-0.1", "NaN"):
            self.table("wrong", [("good", "0.5"), ("bad", wrong)], "said text, score real")
            self.assertIn("0 to 1 as of sst2_score(), and a score is %s" % wrong.lower(),
                          self.refused("--table", "wrong", "--text", "said", "--score", "score"))
            self.doCleanups()
        self.assertIn("--score needs a column of real",
                      self.refused("--table", "reviews", "--text", "review", "--score", "product"))

    def test_few(self):
        """Groups of few rows are shown as such, and only the largest ones"""
        self.table("kinds", [("good", "big")] * 30 + [("good", "g%d" % i) for i in range(25)], "said text, kind text")
        page = self.page("kinds", "--table", "kinds", "--text", "said", "--group", "kind")
        self.assertEqual((len(page.find("div", "group")), len(page.find("div", "few"))), (20, 19))
        self.assertIn("6 more have 6 texts together, 100 % of them POSITIVE", page.texts("figcaption")[-1])

    def test_nothing(self):
        """A table without texts is a page, too"""
        self.table("nothing", [(None, None)], "said text, at date")
        page = self.page("nothing", "--table", "nothing", "--text", "said", "--time", "at", "--group", "said")
        self.assertEqual(page.texts("h1"), ["There are no texts to read"])

    # ---- names and rights ----

    def test_names(self):
        """Names as SQL reads them, or as they are spelled: schemas, quotes, upper case, per cent signs"""
        self.sql.execute('CREATE SCHEMA "We""ird %s"')
        self.addCleanup(self.sql.execute, 'DROP SCHEMA "We""ird %s" CASCADE')
        self.table('"We""ird %s"."Ta ble{}"', [("good", "2026-01-05", "%(x)s")], '"Te xt%s" varchar, "Wh""en" date, "GROUP" text')
        for text, time, group in (("Te xt%s", 'Wh"en', "GROUP"), ('"Te xt%s"', '"Wh""en"', '"GROUP"')):
            page = self.page("names", "--table", '"We""ird %s"."Ta ble{}"', "--text", text, "--time", time, "--group", group)
            self.assertEqual(page.texts("h1"), ["100 % of 1 texts are POSITIVE"])
            self.assertIn('in "We""ird %s"."Ta ble{}", column ', page.texts("p")[0])
        self.table('"Mixed"', ["bad"])
        for name in ("Mixed", '"Mixed"', 'public."Mixed"'):
            self.assertEqual(self.page("names", "--table", name, "--text", "SAID").texts("h1"), ["0 % of 1 texts are POSITIVE"])

    def test_plain_role(self):
        """A role that may only read a view makes a page of it; extension and view lie outside of its search_path"""
        self.sql.execute("CREATE SCHEMA app")
        self.addCleanup(self.sql.execute, "DROP SCHEMA app CASCADE")
        self.sql.execute("CREATE VIEW app.seen AS SELECT review AS said FROM reviews LIMIT 50")
        self.sql.execute("CREATE ROLE reader LOGIN")
        self.addCleanup(self.sql.execute, "DROP ROLE reader")
        self.sql.execute("GRANT USAGE ON SCHEMA app TO reader")
        self.sql.execute("GRANT SELECT ON app.seen TO reader")
        self.addCleanup(self.sql.execute, "DROP OWNED BY reader")
        page = self.page("role", "--table", "app.seen", "--text", "said", "--dsn", "user=reader options='-c search_path='")
        self.assertIn("of 50 texts", page.texts("h1")[0])
        self.assertEqual(self.refused("--table", "reviews", "--text", "review", PGUSER="reader"),
                         "report: permission denied for table reviews")

    def test_reads_only(self):
        """What a view would write is refused"""
        self.sql.execute("CREATE FUNCTION touch() RETURNS text LANGUAGE sql AS "
                         "$$ INSERT INTO reviews (review) VALUES ('x') RETURNING review $$")
        self.sql.execute("CREATE VIEW touching AS SELECT touch() AS said")
        self.addCleanup(self.sql.execute, "DROP FUNCTION touch CASCADE")
        self.assertIn("cannot execute INSERT in a read-only transaction", self.refused("--table", "touching", "--text", "said"))

    def test_refused(self):
        """What cannot be done is said in one message, and an older page stays"""
        with open(self.path("refused"), "w", encoding="utf-8") as f:
            f.write("older")
        said = report("--table", "nowhere", "--text", "x", "-o", self.path("refused"))
        with open(self.path("refused"), encoding="utf-8") as f:
            self.assertEqual((f.read(), said.returncode), ("older", 1))
        os.remove(self.path("refused"))
        self.assertEqual(said.stderr.strip(), 'report: relation "nowhere" does not exist')
        table = "--table", "reviews", "--text"
        self.assertEqual(self.refused(*table, "texts"),
                         'report: there is no column "texts"; there are: created_at, product, review')
        self.assertIn("--time needs a date or a timestamp", self.refused(*table, "review", "--time", "product"))
        self.assertIn("has no extension distilsst", self.refused("--table", "x", "--text", "x", PGDATABASE="template1"))
        self.assertIn("could not open sentiment model", self.refused(*table, "review", "--model", "no-00000000"))
        self.assertIn("connection", self.refused("--table", "x", "--text", "x", "--dsn", "host=/nowhere"))
        said = report("--table", "x", "--text", "x", "-o", self.folder)
        self.assertIn("Is a directory: '%s'" % self.folder, said.stderr)
        said = report("--table", "x", "--text", "x", "-o", self.path("no folder/page"))
        self.assertIn("No such file or directory: '%s'" % self.path("no folder/page"), said.stderr)

    def test_at_once(self):
        """--help and wrong arguments are answered without an environment"""
        with tempfile.TemporaryDirectory() as build:
            for tool, *wrong in ((report, "--table", "x"), (bias, "--terms", "x", "--stereoset", "y"),
                                 (report, "--table", "x", "--text", "x", "-o", "x", "--score", "x", "--model", "x")):
                self.assertIn("usage: tools/%s " % tool.__name__, tool("--help", BUILD_DIR=build).stdout)
                said = tool(*wrong, BUILD_DIR=build)
                self.assertEqual((said.returncode, said.stdout, said.stderr[:7]), (2, "", "usage: "))
            self.assertEqual(os.listdir(build), [])

    # ---- in a browser ----

    def safe(self, name):
        """Nothing of the page is executed or fetched, and the console is silent"""
        dom, console, urls = browser.opened(self.path(name))
        self.assertEqual((console, urls), ([], set()))
        self.assertNotIn("<title>owned", dom)
        return dom

    def test_check_itself(self):
        """The browser's check finds what a page executes and fetches, unless the policy forbids it"""
        with open(self.path("bad"), "w", encoding="utf-8") as f:
            f.write("<title>x</title><script>%s</script><img src=http://127.0.0.1:9/z>" % OWNED)
        dom, console, urls = browser.opened(self.path("bad"))
        self.assertIn("<title>owned", dom)
        self.assertIn("owned", console[0])
        self.assertEqual(urls, {"http://127.0.0.1:9/z"})
        with open(self.path("first"), encoding="utf-8") as f:
            page = f.read().replace("<main>", "<main><script>%s</script><img src=http://127.0.0.1:9/z>" % OWNED)
        with open(self.path("bad"), "w", encoding="utf-8") as f:
            f.write(page)
        dom, console, urls = browser.opened(self.path("bad"))
        self.assertNotIn("<title>owned", dom)
        self.assertEqual(urls, set())

    def test_looks(self):
        """The page is silent in the browser; PAGES=FOLDER keeps its screenshots"""
        self.safe("first")
        if "PAGES" in os.environ:
            browser.all_looks(self.path("first"), os.path.join(self.folder, "first"))

    def test_hostile(self):
        """Hostile texts, names and groups are shown, and nothing else"""
        for i in range(0, len(HOSTILE), 5):
            some = HOSTILE[i:i + 5]
            name = '"<script>%s</script>"' % OWNED.replace("'", "")
            self.table(name, [(text, text) for text in some], '"<img src=x onerror=x>" text, "<b>" text')
            page = self.page("hostile%d" % i, "--table", name, "--text", "<img src=x onerror=x>", "--group", "<b>")
            self.assertEqual(len(page.find("blockquote")), 10)    # each by its label, and as uncertain
            self.assertEqual({e[0] for e in page.elements} & {"script", "img", "iframe", "b", "plaintext"}, set())
            self.safe("hostile%d" % i)
            if "PAGES" in os.environ:
                browser.all_looks(self.path("hostile%d" % i), os.path.join(self.folder, "hostile%d" % i))
            self.doCleanups()
        self.assertLess(os.path.getsize(self.path("hostile10")), 100000)

    def test_invalid_bytes(self):
        """Of an SQL_ASCII server lone surrogates and broken bytes are shown as U+FFFD, and words keep their places"""
        self.sql.execute("CREATE DATABASE bytes TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'")
        self.addCleanup(self.sql.execute, "DROP DATABASE bytes")
        with psycopg.connect("dbname=bytes", client_encoding="SQL_ASCII") as sql:
            sql.execute("CREATE EXTENSION distilsst")
            sql.execute("CREATE TABLE t AS SELECT v || chr(32) || 'lovely' AS said FROM (VALUES (E'\\xED\\xA0\\x80'), "
                        "(E'caf\\xC3\\xA9'), (E'caf\\xE9 <i>')) v (v)")
        sql.close()
        page = self.page("bytes", "--table", "t", "--text", "said", "--group", "said", PGDATABASE="bytes")
        self.assertEqual(set(page.texts("blockquote")), {"\ufffd\ufffd\ufffd lovely", "caf\xe9 lovely", "caf\ufffd <i> lovely"})
        self.assertEqual([text for tag, a, text in page.elements if a.get("class") == "p5" and "title" in a], ["lovely"] * 6)
        self.safe("bytes")

    @unittest.skipUnless(os.path.isdir("../../../shared/train"), "../shared/train is not there")
    def test_many(self):
        """20,000 texts, 2,000 of them long reviews, make a page that is silent in the browser"""
        rows = list(HOSTILE)
        for name, most in (("imdb_train.tsv.gz", 2000), ("rt_snippets.tsv.gz", 20000 - 2000 - len(HOSTILE))):
            with gzip.open(os.path.join("../../../shared/train", name), "rt", encoding="utf-8", newline="\n") as f:
                rows += [line.rstrip("\n").split("\t")[-1 if "imdb" in name else 0] for line in f.readlines()[1:most + 1]]
        self.table("many", rows)
        page = self.page("many", "--table", "many", "--text", "said")
        self.assertIn("of 20,000 texts", page.texts("h1")[0])
        self.safe("many")
        if "PAGES" in os.environ:
            browser.all_looks(self.path("many"), os.path.join(self.folder, "many"))
