import json
import os
import random
import re
import tempfile
import unittest

import made_up
import numpy as np
import torch
from made_up import run
from safetensors.torch import load_file

from corpora import load_data, runs
from evaluate import probabilities
from examples import for_student, for_teacher
from network import classifier, export, round_weights
from swaps import TEMPLATES
from teach import learner, mean_of_weights, opinion, targets
from texts import load_texts


def corpora(folder):
    """Files of the corpora's names and forms, as few rows as the recipe's split allows"""
    rng, path = random.Random(11), lambda name: os.path.join(folder, name)
    rows = [(text, int(label == "praise")) for text, label in made_up.labelled(9000, seed=3, length=12) if label != "neither"]

    def some(n, label=None):
        chosen = [row for row in rows if label in (None, row[1])][:n]
        rows[:] = [row for row in rows if row not in set(chosen)]
        return chosen

    made_up.write(path("sst2_dev.tsv"), ["sentence\tlabel"] + ["%s \t%d" % row for row in some(20)])
    whole = [(text + " .", label) for text, label in some(800)]
    phrases = [(" ".join(text.split()[3:9]), label) for text, label in whole]
    phrases = [(text, label) for text, label in phrases if set(text.split()) & set(made_up.PRAISE + made_up.BLAME)]
    made_up.write(path("sst2_train.tsv"), ["sentence\tlabel"] + ["%s \t%d" % row for row in whole + phrases])
    copied = [(text + " too", label) for text, label in whole]
    for name in ("rt_snippets", "customer_reviews"):
        made_up.write(path(name + ".tsv.gz"), ["sentence\tlabel"] + ["%s\t%d" % row for row in some(50) + copied])
    made_up.write(path("imdb_train.tsv.gz"), ["label\trating\tid\ttext"] + [
        "%d\t%d\t%s/%d_1\t%s<br />%s" % (label, 9 * label + 1, ("neg", "pos")[label], i, text,
                                       " ".join(rng.choices(made_up.FILLING, k=40)))
        for label in (0, 1) for i, (text, _) in enumerate(some(1050, label))])
    made_up.write(path("imdb_unsup.txt.gz"), ["%s . It was %s.<br />" % row for row in some(60)])
    for name in ("books", "dvd", "electronics", "kitchen"):
        made_up.write(path("amazon_%s.tsv.gz" % name), ["sentence\tlabel"] + [
            '"%s\n""so""."\t%d' % row for label in (0, 1) for row in some(60, label)])


class BuiltIn(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        made_up.encoder(cls.path("base"))
        os.mkdir(cls.path("data"))
        corpora(cls.path("data"))

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder, name)

    def test_held_back(self):
        """No training text is among those that judge; none shares six words in a row with a held-back phrase, nor one written
        for the model four with a sentence written to judge it by"""
        data = load_data(self.path("data"))
        sizes = {name: len(rows) for name, rows in data.items()}
        self.assertEqual((sizes["dev"], sizes["held_imdb"], sizes["held_amazon"]), (20, 2000, 400))
        self.assertEqual((sizes["everyday"], sizes["tickets"]), (100, 500))
        self.assertGreaterEqual(sizes["held_sst2"], 500)
        trained = [row for name in ("sst2", "short", "reviews", "unlabelled", "written") for row in data[name]]
        judging = [row for name in ("dev", "everyday", "tickets", "held_sst2", "held_imdb", "held_amazon") for row in data[name]]
        self.assertTrue({text for text, _ in trained}.isdisjoint({text for text, _ in judging}))
        taken = set().union(*(runs(text, 6) for text, _ in data["held_sst2"]))
        self.assertTrue(all(taken.isdisjoint(runs(text, 6)) for text, _ in data["sst2"] + data["short"]))
        taken = set().union(*(runs(text, 4) for text, _ in data["everyday"] + data["tickets"]))
        self.assertTrue(all(taken.isdisjoint(runs(text, 4)) for text, _ in data["written"]))
        self.assertTrue(all(len(data[name]) > 100 for name in ("sst2", "short", "reviews", "written")))
        self.assertEqual((len(data["unlabelled"]), {label for _, label in data["unlabelled"]}), (60, {None}))
        self.assertNotIn("<br", " ".join(text for text, _ in data["reviews"] + data["unlabelled"]))

    def test_templates(self):
        """What tools/bias asks by default, no model was taught to answer evenly"""
        with open(os.path.join(os.path.dirname(__file__), "../../tools/analysis/templates.txt"), encoding="utf-8") as f:
            asked = f.read().splitlines()
        self.assertEqual(len(asked), 10)
        self.assertTrue({t.format("{}") for kind in ("countries", "nationalities") for t in TEMPLATES[kind]}.isdisjoint(asked))

    def test_teach_and_distil(self):
        """A pretrained encoder, two teachers and their student: a folder in F16 that is right about what they were taught"""
        common = ["--data", self.path("data"), "--work", self.path("work"), "--threads", "1"]
        run("pretrain", *common, "--from", self.path("base"), "--epochs", "1", "--rate", "1e-3")
        for seed in ("1", "2"):
            run("teach", *common, "--from", self.path("work/pretrained"), "--seed", seed, "--epochs", "24", "--rate", "3e-3")
        teachers = [self.path("work/teacher-%d" % seed) for seed in (1, 2)]
        said = run("distil", *common, "--from", *teachers, "--teachers", *teachers, "--out", self.path("made"), "--epochs", "8",
                   "--rate", "3e-3", "--share", "0.8")
        self.assertEqual(sorted(os.listdir(self.path("made"))), ["config.json", "model.safetensors", "vocab.txt"])
        self.assertEqual({x.dtype for x in load_file(self.path("made/model.safetensors")).values()}, {torch.float16})
        with open(self.path("made/config.json")) as f:
            self.assertEqual(json.load(f)["id2label"], {"0": "NEGATIVE", "1": "POSITIVE"})
        accuracy = {name: float(x) for name, x in re.findall(r"(\w+).*of +\d+ +([\d.]+) %", said)}
        self.assertEqual(set(accuracy), {"SST", "IMDB", "Amazon"})
        self.assertGreater(min(accuracy.values()), 90, said)
        self.assertRegex(said, r"countries +0\.\d+ \(.+\) to 0\.\d+ \(.+\): a gap of 0\.\d+")
        model, tokenizer = classifier(self.path("made"), ["NEGATIVE", "POSITIVE"])
        scores = probabilities(model.eval(), tokenizer, ["it was a lovely film .", "this is an awful film ."])[:, 1]
        self.assertGreater(scores[0], 0.5)
        self.assertLess(scores[1], 0.5)
        with self.assertRaisesRegex(SystemExit, "--teachers is wanted"):
            run("distil", *common, "--from", *teachers, "--out", self.path("mean"))
        run("distil", *common, "--from", *teachers, "--epochs", "0", "--out", self.path("mean"))
        weights = [load_file(os.path.join(folder, "model.safetensors"))["classifier.weight"]
                   for folder in teachers + [self.path("mean")]]
        self.assertTrue(torch.equal(((weights[0] + weights[1]) / 2).half(), weights[2]))

    def test_round_weights(self):
        """Rows are whole multiples of a 127th of their largest, near what they were; the head keeps its own"""
        before, after = learner(self.path("base"))[0], learner(self.path("base"))[0]
        round_weights(after)
        self.assertEqual({p.dtype for p in after.parameters()}, {torch.float16})
        rounded = set()
        for (name, a), (_, b) in zip(before.named_parameters(), after.named_parameters()):
            if a.dim() == 2 and not torch.equal(a.half(), b):
                rounded.add(name.split(".")[1] if name.startswith("distilbert") else name)
                steps = b.float() / b.float().abs().amax(1, keepdim=True).clamp(min=1e-30) * 127
                self.assertLess((steps - steps.round()).abs().max(), 0.13)
                self.assertLess(((a - b) / a.abs().amax(1, keepdim=True).clamp(min=1e-30)).abs().max(), 0.5 / 127 + 1e-3)
        self.assertEqual(rounded, {"embeddings", "transformer"})

    def test_teachers(self):
        """The student begins as the mean of the weights, and is told the mean of the probabilities"""
        models = [learner(self.path("base"))[0].eval() for _ in range(3)]
        self.assertTrue(torch.equal(models[0].classifier.weight, models[1].classifier.weight))
        with torch.no_grad():
            models[0].classifier.weight += 0.5
            models[1].classifier.bias += torch.tensor([1.0, 0.0])
        mean_of_weights(models[2], models[:2])
        self.assertTrue(torch.allclose(models[2].classifier.weight, models[1].classifier.weight + 0.25))
        folders = [self.path("one"), self.path("two")]
        for model, folder in zip(models, folders):
            export(model, learner(self.path("base"))[1], folder)
        ids = [list(range(5, 15)), list(range(7, 20))]
        expected = sum(model(torch.tensor([ids[1]])).logits.softmax(1) for model in models[:2]) / 2
        self.assertLess(abs(opinion(folders, ids, "float32")[1] - expected.detach().numpy()).max(), 1e-6)

    def test_targets(self):
        """The label tells a share of the target, the teachers the rest; a text without a label is theirs alone"""
        said = np.array([[0.25, 0.75]] * 3)
        made = targets([([], 0, 0.0), ([], -1, 0.0), ([], 0, 0.5)], said)
        self.assertEqual([row.tolist() for row in made], [[0.25, 0.75], [0.25, 0.75], [0.625, 0.375]])

    def test_examples(self):
        """A teacher leaves out a third of the weak labels; a student reads shares of the sets that it is given, and what was
        written for it three times"""
        _, tokenizer = learner(self.path("base"))
        texts = load_texts(self.path("data"), tokenizer, self.path("work-of-examples"))
        sizes = {name: len(some) for name, some in texts.items()}
        taught = for_teacher(texts, tokenizer, random.Random(1), 1)
        left_out = len(range(1, sizes["short"], 3))
        self.assertEqual(len(taught), sizes["sst2"] + sizes["short"] - left_out + sizes["reviews"])
        read = for_student(texts, tokenizer, random.Random(1), ["written", "sentences", "unlabelled"], 0.5)
        self.assertEqual([told for _, _, told in read].count(0.25), round(sizes["sentences"] / 2))
        self.assertEqual([told for _, _, told in read].count(0.9), 3 * sizes["written"])
        self.assertEqual([label for _, label, _ in read].count(-1), 15)
        for ids, *_ in taught + read:
            self.assertEqual((ids[0], ids[-1]), (tokenizer.cls_token_id, tokenizer.sep_token_id))
            self.assertLessEqual(len(ids), 512)
