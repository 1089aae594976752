import gzip
import json
import os
import re
import tempfile
import unittest
from unittest import mock

import made_up
from made_up import run
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, DistilBertForSequenceClassification

from finetune import confusion, settings
from network import classifier


class Finetune(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        cls.base, cls.tsv = cls.path("base"), cls.path("rows.tsv")
        made_up.encoder(cls.base)
        made_up.write(cls.tsv, ["id\tlabel\ttext"] + ["%d\t%s\t%s" % (i, label, text)
                                                     for i, (text, label) in enumerate(made_up.labelled(1200))])

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder, name)

    def finetune(self, out, *more, start=None, data=None, rate="3e-3", epochs="8"):
        rows = [] if "--query" in more else ["--data", data or self.tsv]
        return run("finetune", "--from", start or self.base, *rows, "--out", self.path(out), "--rate", rate,
                   "--epochs", epochs, "--threads", "1", *more)

    def asked(self, out, texts):
        """The labels that transformers gives with nothing but the folder"""
        model = DistilBertForSequenceClassification.from_pretrained(self.path(out)).eval()
        tokenizer = AutoTokenizer.from_pretrained(self.path(out))
        logits = [model(**tokenizer(text, return_tensors="pt", return_token_type_ids=False)).logits[0] for text in texts]
        return [model.config.id2label[int(x.argmax())] for x in logits]

    def test_end_to_end(self):
        """From a TSV with three labels comes a folder that tells them apart in new texts, and says how well"""
        said = self.finetune("three")
        self.assertIn("1200 rows, 0 of them empty or repeated; 1080 to train on, 120 held back; "
                      "labels: blame, neither, praise", said)
        right = int(re.search(r"right: (\d+) of 120 rows that were held back", said)[1])
        self.assertGreaterEqual(right, 108)
        table = [line.split() for line in said.split("taken for\n")[1].splitlines()[:4]]
        self.assertEqual(table[0], ["blame", "neither", "praise"])
        self.assertEqual([row[0] for row in table[1:]], table[0])
        counts = [[int(n) for n in row[1:]] for row in table[1:]]
        self.assertEqual((sum(map(sum, counts)), sum(counts[i][i] for i in range(3))), (120, right))
        new = [row for row in made_up.labelled(300, seed=9)]
        answers = self.asked("three", [text for text, _ in new])
        self.assertGreaterEqual(sum(answer == label for answer, (_, label) in zip(answers, new)), 270)
        self.assertTrue({"config.json", "model.safetensors", "vocab.txt", "tokenizer.json", "tokenizer_config.json"}
                        <= set(os.listdir(self.path("three"))))
        with open(self.path("three/vocab.txt")) as made, open(self.base + "/vocab.txt") as first:
            self.assertEqual(made.read(), first.read())
        with open(self.path("three/config.json")) as f:
            config = json.load(f)
        self.assertEqual((config["architectures"], config["model_type"]), (["DistilBertForSequenceClassification"], "distilbert"))

    def test_confusion(self):
        """Of the confusion matrix a row is what a text is, a column what it is taken for"""
        names = ["blame", "praise"]
        model, tokenizer = classifier(self.base, names)
        with torch.no_grad():
            model.classifier.weight.zero_()
            model.classifier.bias.copy_(torch.tensor([0.0, 1.0]))
        rows = [("good", "praise"), ("bad", "blame"), ("dull", "blame"), ("awful", "0")]
        self.assertEqual(confusion(model.eval(), tokenizer, rows, names, 128).tolist(), [[0, 3], [0, 1]])

    def test_seed(self):
        """A seed gives the same weights again, another one gives others"""
        for out, seed in (("first", "4"), ("again", "4"), ("other", "5")):
            self.finetune(out, "--seed", seed, epochs="1")
        first, again, other = (load_file(self.path(out + "/model.safetensors")) for out in ("first", "again", "other"))
        self.assertTrue(all(torch.equal(first[name], again[name]) for name in first))
        self.assertFalse(torch.equal(first["classifier.weight"], other["classifier.weight"]))

    def test_goes_on(self):
        """A classifier goes on with its head and names, which rows may also call by their ids"""
        self.finetune("two", data=self.csv("two.csv", [(t, l) for t, l in made_up.labelled(400) if l != "neither"]))
        rows = [(t, {"blame": "0", "praise": "1"}[l]) for t, l in made_up.labelled(400, seed=2) if l != "neither"]
        said = self.finetune("more", start=self.path("two"), data=self.csv("ids.csv", rows), rate="1e-9", epochs="1")
        self.assertIn("labels: blame, praise", said)
        two, more = (load_file(self.path(out + "/model.safetensors")) for out in ("two", "more"))
        self.assertLess((two["classifier.weight"] - more["classifier.weight"]).abs().max(), 1e-6)

    def csv(self, name, rows, header="label,text"):
        quoted = ['%s,"%s"' % (label, text.replace('"', '""')) for text, label in rows]
        made_up.write(self.path(name), [header] + quoted)
        return self.path(name)

    def test_csv(self):
        """A CSV, gzipped, with quotes, line breaks, a byte order mark and other names of columns"""
        rows = [('%s "so\nto, say"' % text, label) for text, label in made_up.labelled(60)]
        plain = self.csv("quoted.csv", rows + rows[:7] + [("", "praise")], header="\ufeffverdict,comment")
        with open(plain, "rb") as f, gzip.open(plain + ".gz", "wb") as g:
            g.write(f.read())
        said = self.finetune("quoted", "--text", "comment", "--label", "verdict", data=plain + ".gz", epochs="1")
        self.assertIn("68 rows, 8 of them empty or repeated; 54 to train on, 6 held back", said)

    def test_numbers(self):
        """Labels that are numbers keep the order of numbers"""
        numbers = {"blame": "2", "neither": "10", "praise": "1"}
        said = self.finetune("stars", data=self.csv("stars.csv", [(t, numbers[l]) for t, l in made_up.labelled(60)]), epochs="1")
        self.assertIn("labels: 1, 2, 10", said)

    def test_query(self):
        """Rows that a query gives are those of a file; what the server says of a wrong one is passed on"""
        if "PGHOST" not in os.environ:
            self.skipTest("no server: PGHOST is not set (test/scratch sets it)")
        values = ", ".join("('%s', '%s')" % row for row in made_up.labelled(100))
        said = self.finetune("queried", "--query", "SELECT a AS text, b AS label "
                             "FROM (VALUES %s, (NULL, 'blame')) AS v(a, b)" % values, "--dsn", "dbname=postgres", epochs="1")
        with self.assertRaisesRegex(SystemExit, 'relation "nowhere" does not exist'):
            self.finetune("none", "--query", "SELECT * FROM nowhere", "--dsn", "dbname=postgres")
        self.assertIn("101 rows, 1 of them empty or repeated; 90 to train on, 10 held back", said)

    def test_card(self):
        """--recipe card has the settings of the official model's card, and all weights learn"""
        made = mock.Mock(recipe="card", seed=1, rate=None, compute="float32")
        self.assertEqual((settings(made, 5000).rate, settings(made, 5000).warmup), (1e-5, 600))
        self.finetune("card", "--recipe", "card", epochs="1")
        self.finetune("own", epochs="1")
        name = "distilbert.embeddings.word_embeddings.weight"
        base = load_file(self.base + "/model.safetensors")["embeddings.word_embeddings.weight"]
        self.assertTrue(torch.equal(load_file(self.path("own/model.safetensors"))[name], base))
        self.assertFalse(torch.equal(load_file(self.path("card/model.safetensors"))[name], base))

    def test_refused(self):
        """What cannot be learned from is refused with the reason"""
        made_up.write(self.path("one.csv"), ["label,text", "good,fine", "good,lovely"])
        made_up.write(self.path("ragged.csv"), ["label,text", "good,fine", "bad"])
        made_up.write(self.path("empty.csv"), [])
        made_up.write(self.path("rare.csv"), ["label,text", "good,fine", "bad,dull", "good,lovely"])
        with open(self.path("latin.csv"), "wb") as f:
            f.write(b"label,text\ngood,caf\xe9\n")
        for name, more, reason in [("one.csv", [], "two labels at least; there is: good"),
                                   ("ragged.csv", [], "row 3 has 1 columns, the header has 2"),
                                   ("empty.csv", [], "empty"),
                                   ("rare.csv", [], "label bad: .* one in all"),
                                   ("latin.csv", [], "can't decode byte 0xe9"),
                                   ("absent.csv", [], "No such file"),
                                   ("one.csv", ["--label", "grade"], "no column named grade; there are: label, text")]:
            with self.assertRaisesRegex(SystemExit, reason):
                self.finetune("none", *more, data=self.path(name))
        self.assertFalse(os.path.exists(self.path("none")))
        with self.assertRaisesRegex(SystemExit, "base: not empty"):
            self.finetune("base")
