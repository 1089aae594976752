import os
import random
import tempfile
import unittest

import made_up
import numpy as np

from network import classifier
from texts import Ragged, Texts, encode, sentences


class TextsOfSets(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def test_saved(self):
        """Texts come back from their file as they were, empty ones and ids above 32,767 too"""
        plain, other = [[1, 2, 65535], [], [7]], [[], [], [8, 9]]
        Texts(Ragged.of(plain), Ragged.of(other), np.array([0, 1, -1], np.int8)).save(os.path.join(self.folder, "some.npz"))
        self.assertEqual(os.listdir(self.folder), ["some.npz"])
        again = Texts.load(os.path.join(self.folder, "some.npz"))
        self.assertEqual(([again[i].tolist() for i in range(3)], again.labels.tolist()), (plain, [0, 1, -1]))
        rng = random.Random(1)
        drawn = [[again.either(i, rng).tolist() for _ in range(40)] for i in range(3)]
        self.assertTrue(all(ids == plain[0] for ids in drawn[0]) and all(ids == [] for ids in drawn[1]))
        self.assertTrue(10 < drawn[2].count([7]) < 30 and drawn[2].count([7]) + drawn[2].count([8, 9]) == 40)

    def test_encode(self):
        """The word pieces are the tokenizer's; a text with terms in it has another form, one without has none"""
        made_up.encoder(self.folder)
        _, tokenizer = classifier(self.folder, ["a", "b"])
        rows = [("it was good in peru", 1), ("it was dull .", None)]
        made = encode(rows, tokenizer, swap=True)
        self.assertEqual([made[i].tolist() for i in range(2)],
                         tokenizer([text for text, _ in rows], add_special_tokens=False)["input_ids"])
        self.assertEqual((made.labels.tolist(), len(made.other[1])), ([1, -1], 0))
        self.assertGreater(len(made.other[0]), 4)
        self.assertNotEqual(made.other[0].tolist(), made[0].tolist())
        self.assertEqual(len(encode(rows, tokenizer, swap=False).other[0]), 0)

    def test_sentences(self):
        """At most three sentences of a review, of 4 to 25 words, with its label"""
        review = "One two. A b c d e. " + "w " * 30 + ". Is it so, is it? It is so indeed! Yes it is so. The end of it all."
        found = sentences([(review, 1), ("Too short.", 0)], 1)
        self.assertEqual(len(found), 3)
        self.assertTrue({s for s, _ in found} <= {"A b c d e.", "Is it so, is it?", "It is so indeed!", "Yes it is so.",
                                                  "The end of it all."})
        self.assertEqual({label for _, label in found}, {1})
