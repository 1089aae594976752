import json
import os
import re
import tempfile
import unittest
from xml.etree import ElementTree

import psycopg

from tools import bias

COUNTRIES = ["France", "Afghanistan", "Chad", "Turkey"]


def item(bias_type, stereotype, other, **more):
    sentences = [{"id": "s", "sentence": stereotype, "gold_label": "stereotype", "labels": []},
                 {"id": "a", "sentence": other, "gold_label": "anti-stereotype", "labels": []},
                 {"id": "u", "sentence": "The sea is fish.", "gold_label": "unrelated", "labels": []}]
    return {"id": "1", "target": "t", "bias_type": bias_type, "context": "It is BLANK.", "sentences": sentences, **more}


def dev_json(intra, inter):
    return json.dumps({"version": "1.1", "data": {"intrasentence": intra, "intersentence": inter}}, indent=1)


def tables(markdown):
    """-> rows of cells of each table, without its head"""
    found = [[]]
    for line in markdown.split("\n"):
        if line.startswith("|"):
            found[-1].append(re.split(r"(?<!\\) ?\| ?", line)[1:-1])
        elif found[-1]:
            found.append([])
    return [rows[2:] for rows in found if rows]


class Bias(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.sql = psycopg.connect("", autocommit=True)
        self.addCleanup(self.sql.close)

    def file(self, name, content):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as f:
            f.write(content if isinstance(content, bytes) else content.encode())
        return path

    def ok(self, *arguments):
        said = bias(*arguments, "--svg", os.path.join(self.folder, "bias.svg"))
        self.assertEqual(said.returncode, 0, said.stderr)
        return said.stdout

    def refused(self, *arguments):
        said = bias(*arguments, "--svg", os.path.join(self.folder, "bias.svg"))
        self.assertEqual(said.returncode, 1, said.stdout)
        self.assertNotIn("Traceback", said.stderr)
        self.assertEqual([f for f in os.listdir(self.folder) if f.startswith("bias.svg")], [])
        return said.stderr.strip().replace(self.folder + "/", "")

    def score(self, text):
        return self.sql.execute("SELECT sst2_score(%s::text), sst2_label(%s::text)", [text, text]).fetchone()

    def test_terms(self):
        """Gap, flip rate and worst terms are those of the scores in SQL"""
        places = ["hell", "paradise", "a prison", "France"]     # that differ, as countries need not
        templates = ["We went to {}.", "Bad news from {}, {}!"]
        said = self.ok("--templates", self.file("templates", "\n".join(templates) + "\n"),
                       "--terms", self.file("terms", "\r\n".join(places)))
        first, worst = tables(said)
        distance = {term: 0 for term in places}
        for template, row in zip(templates, first):
            scored = sorted((*self.score(template.replace("{}", term)), term) for term in places)
            labels = [label for _, label, _ in scored]
            fewest = min(labels.count("POSITIVE"), labels.count("NEGATIVE"))
            self.assertEqual(row, [template, "%.3f %s" % scored[0][::2], "%.3f %s" % scored[-1][::2],
                                   "%.3f" % (scored[-1][0] - scored[0][0]), "%.0f %%" % (25 * fewest)])
            for score, _, term in scored:
                distance[term] += (score - (scored[1][0] + scored[2][0]) / 2) / 2
        order = sorted(places, key=lambda term: -abs(distance[term]))
        self.assertEqual([row[:2] for row in worst], [[term, "%+.3f" % distance[term]] for term in order])

    def test_picture(self):
        """The picture has a dot for each term, and is the same again"""
        path, pictures = os.path.join(self.folder, "bias.svg"), []
        for _ in range(2):
            said = self.ok("--terms", self.file("terms", "<script>\nFr|ance\n\x01&\n"))
            with open(path, encoding="utf-8") as f:
                pictures.append((said, f.read()))
        self.assertEqual(*pictures)
        elements = [(element.tag.split("}")[1], element.text) for element in ElementTree.fromstring(pictures[0][1]).iter()]
        self.assertEqual([tag for tag, _ in elements].count("circle"), 3 * 10)
        self.assertNotIn("script", [tag for tag, _ in elements])
        self.assertIn("<script>", " ".join(text or "" for _, text in elements))
        self.assertIn("Fr\\|ance", said)

    def test_winogender(self):
        """WinoGender: pairs of genders, with the differences of the scores in SQL"""
        rows = {("%s.other.%d" % (job, i), gender): "The %s said that %s was %s." % (job, word, mood)
                for i, mood in enumerate(["late", "happy"]) for job in ("nurse", "pilot")
                for gender, word in (("male", "he"), ("female", "she"), ("neutral", "the person"))}
        tsv = "".join("%s.%s.txt\t%s\n" % (*name, text) for name, text in rows.items())
        said, worst = tables(self.ok("--winogender", self.file("all.tsv", "sentid\tsentence\n" + tsv)))
        score = {name: self.score(text) for name, text in rows.items()}
        for row, (a, b) in zip(said, [("male", "female"), ("male", "neutral"), ("female", "neutral")]):
            pairs = [(score[name, a], score[name, b]) for name, gender in rows if gender == "male"]
            differences = [y[0] - x[0] for x, y in pairs]
            self.assertEqual(row, ["%s less %s" % (b, a), "4", "%.3f" % (sum(map(abs, differences)) / 4),
                                   "%+.3f" % (sum(differences) / 4), "%.3f" % max(map(abs, differences)),
                                   "%.0f %%" % (25 * sum(x[1] != y[1] for x, y in pairs))])
        self.assertEqual((said[3][:2], len(worst)), (["all", "12"], 10))

    def test_winobias(self):
        """WinoBias: brackets go, pairs are grouped by the first file's pronoun"""
        pro = self.file("pro", "1 [The clerk] wept since [she] lost.\n2 The cook fed [the guard] and thanked [him].\n")
        anti = self.file("anti", "1 [The clerk] wept since [he] lost.\n2 The cook fed [the guard] and thanked [her].\n")
        said, worst = tables(self.ok("--winobias", pro, anti, "--winobias", pro, anti))
        self.assertEqual([row[:2] for row in said],
                         [["female pronoun by stereotype", "2"], ["male pronoun by stereotype", "2"], ["all", "4"]])
        difference = self.score("The clerk wept since he lost.")[0] - self.score("The clerk wept since she lost.")[0]
        self.assertEqual(said[0][3], "%+.3f" % difference)
        self.assertIn("The cook fed the guard and thanked him.", [row[2] for row in worst])

    def test_stereoset(self):
        """StereoSet: by bias type; what follows a context is read with it"""
        path = self.file("dev.json", dev_json([item("race", "They are mean.", "They are kind.")],
                                              [item("gender", "She cooks.", "She paints.", context="She is home.")]))
        said, worst = tables(self.ok("--stereoset", path))
        self.assertEqual([row[:2] for row in said], [["gender, intersentence", "1"], ["race, intrasentence", "1"], ["all", "2"]])
        difference = self.score("She is home. She paints.")[0] - self.score("She is home. She cooks.")[0]
        self.assertEqual(said[0][3], "%+.3f" % difference)
        self.assertEqual({row[2] for row in worst}, {"They are mean.", "She is home. She cooks."})

    def test_wrong_files(self):
        """What is wrong with a file is said with its name, its line and what was expected"""
        head, row = "sentid\tsentence\n", "a.b.1.%s.txt\tIt is late.\n"
        good = self.file("good", "1 [She] left.\n2 [He] left.\n")
        for name, content, expected in [
                ("empty", "", 'empty: line 1: expected the header "sentid"'),
                ("head", "id\tsentence\n", 'head: line 1: expected the header "sentid", a tab, "sentence", not \'id'),
                ("none", head, "none: line 2: expected occupation.participant"),
                ("comma", head + row % "male" + "a.b.1.female.txt,It is late.\n", "comma: line 3: expected occupation.part"),
                ("other", head + row % "divers", "other: line 2: expected occupation.participant"),
                ("twice", head + 2 * row % ("male", "male"), "twice: line 3: expected one sentence only of a.b.1.male"),
                ("lacks", head + row % "male" + row % "female", "lacks: line 2: expected for a.b.1 the sentences male,"),
                ("bytes", b"sentid\tsentence\n\xff\n", "bytes: line 2: expected UTF-8"),
                ("zero", head + "a.b.1.male.txt\tx\0\n", "zero: line 2: expected text without a zero byte")]:
            self.assertIn("bias: " + expected, self.refused("--winogender", self.file(name, content)))
        for name, content, expected in [
                ("plain", "1 [She] left.\nHe left.\n", "plain: line 2: expected the line's number, a blank and a sentence"),
                ("jumps", "1 [She] left.\n3 [He] left.\n", "jumps: line 2: expected the line's number"),
                ("bare", "1 [She] left.\n2 He [left].\n", "bare: line 2: expected a sentence with a pronoun in brackets"),
                ("short", "1 [She] left.\n", "short: line 2: expected a sentence: the other file has 2")]:
            self.assertIn("bias: " + expected, self.refused("--winobias", good, self.file(name, content)))
            self.assertIn("bias: " + expected, self.refused("--winobias", self.file(name, content), good))
        other = self.file("other", "1 [She] slept.\n2 [He] ate.\n")
        self.assertIn('other: line 1: expected line 1 of good but for what is in brackets, "She left.", not',
                      self.refused("--winobias", good, other))
        bare = {"bias_type": "race", "context": "c"}
        for name, content, expected in [
                ("cut.json", '{\n"data": [\n', "cut.json: line 3: expected JSON (Expecting value)"),
                ("list.json", "[]", 'list.json: line 1: expected an object with "data"'),
                ("half.json", '{"data":\n{"intrasentence": [1]}}', 'half.json: line 2: expected an item with "bias_type"'),
                ("bare.json", dev_json([item("race", "x", "y"), bare], []),
                 'bare.json: line 31: expected an item with "sentences"'),
                ("inter.json", dev_json([item("race", "x", "y")], []), 'inter.json: line 3: expected data with "intersentence"'),
                ("gold.json", dev_json([item("race", "x", "y"), item("race", "x", "y", sentences=[{"sentence": "x"}])], []),
                 'gold.json: line 37: expected a sentence with "gold_label"'),
                ("label.json", dev_json([item("race", "x", "y", sentences=item("", "x", "y")["sentences"][1:])], []),
                 'label.json: line 5: expected one sentence with the gold_label "stereotype" in the item, not 0'),
                ("deep.json", "[" * 100000, "deep.json: line 1: expected")]:
            self.assertIn("bias: " + expected, self.refused("--stereoset", self.file(name, content)))
        self.assertIn("bias: t: line 2: expected a template with {}, not 'b'",
                      self.refused("--templates", self.file("t", "a {}\nb\n")))
        self.assertIn("bias: t: line 1: expected a term", self.refused("--terms", self.file("t", "\n")))
        self.assertIn("No such file", self.refused("--terms", "/nowhere"))

    @unittest.skipUnless(os.path.isdir("../../../shared/bias"), "../shared/bias is not there")
    def test_published(self):
        """The sets as their authors publish them are read whole"""
        shared = os.path.abspath("../../../shared/bias") + "/"
        self.assertEqual(tables(self.ok("--winogender", shared + "winogender_all_sentences.tsv"))[0][3][1], "720")
        pairs = [(shared + "winobias_%s_stereotyped_type%d.txt.%s" % (side, kind, part)) for kind in (1, 2)
                 for part in ("dev", "test") for side in ("pro", "anti")]
        options = [x for i in range(0, 8, 2) for x in ("--winobias", pairs[i], pairs[i + 1])]
        self.assertEqual(tables(self.ok(*options))[0][2][1], "1584")
