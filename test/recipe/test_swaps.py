import glob
import os
import random
import re
import tempfile
import unittest

import made_up
import torch

from network import classifier
from swaps import (COUNTRIES, FILLED_BY, NATIONALITIES, PRONOUN, TEMPLATES, filled, other_gender, same_answer, swapped,
                   without_article)

BIAS = os.path.join(made_up.HERE, "../../../shared/bias")


class Swaps(unittest.TestCase):
    def test_gender(self):
        """The other gender of a sentence, whether "her" stands for "his" or for "him" """
        for before, after in [("he gave her his book", "she gave him her book"), ("she hurt herself", "he hurt himself"),
                              ("the book is hers .", "the book is his ."), ("I saw her.", "I saw him."),
                              ("her , of all people", "him , of all people"), ("there, other, Hera", "there, other, Hera")]:
            self.assertEqual(PRONOUN.sub(other_gender, before), after)

    def test_swapped(self):
        """Terms become others of their kind, the same for the same, and nothing else changes"""
        for seed in range(50):
            rng = random.Random(seed)
            text = swapped("a french film from france , and france is french .", rng)
            match = re.fullmatch(r"a (.+) film from (.+) , and (.+) is (.+) \.", text)
            self.assertIn(match[1], NATIONALITIES)
            self.assertIn(match[2], map(without_article, COUNTRIES))
            self.assertEqual((match[1], match[2]), (match[4], match[3]))
            self.assertEqual(swapped("polish the turkey , it was dull .", rng), "polish the turkey , it was dull .")
        texts = {swapped("julia comes from peru", random.Random(seed)) for seed in range(50)}
        self.assertGreater(len(texts), 40)

    def test_countries(self):
        """All 249 countries of ISO 3166 are there once"""
        self.assertEqual(len(COUNTRIES), 249)
        self.assertEqual(len(set(COUNTRIES)), 249)

    def test_filled(self):
        """Every template takes its terms, and is not what the model is judged by"""
        for kind, templates in TEMPLATES.items():
            for template in templates:
                term = FILLED_BY[kind][0]
                text = template.format(*([term] if isinstance(term, str) else term))
                self.assertNotIn("{", text)
                self.assertNotRegex(text.lower(), r"film(ed)? (was|in)|shot in")
        for seed in range(100):
            texts = filled(random.Random(seed), 6)
            self.assertEqual(len(set(texts)), len(texts))
            self.assertIn(len(texts), (3, 6))

    @unittest.skipUnless(os.path.isdir(BIAS), "no ../shared/bias")
    def test_judges(self):
        """No template is a sentence of WinoBias or WinoGender"""
        judged = "\n".join(open(path, encoding="utf-8").read() for path in glob.glob(BIAS + "/wino*")).lower()
        judged = re.sub(r"[][]", "", judged)
        for kind in TEMPLATES:
            for template in TEMPLATES[kind]:
                for term in FILLED_BY[kind]:
                    text = template.format(*([term] if isinstance(term, str) else term)).lower().rstrip(".")
                    self.assertFalse(len(text.split()) > 2 and text in judged, text)

    def test_same_answer(self):
        """The loss is the variance of the difference of two logits, halved, times the weight; in every other step"""
        with tempfile.TemporaryDirectory() as folder:
            made_up.encoder(folder)
            model, tokenizer = classifier(folder, ["a", "b"])
            loss = same_answer(model.eval(), tokenizer, 5, weight=3.0, n=4)
            texts = filled(random.Random("5 8"), 4)
            logits = [model(**{k: v.to(model.device) for k, v in tokenizer(text, return_tensors="pt",
                                                                         return_token_type_ids=False).items()}).logits[0]
                      for text in texts]
            differences = torch.stack([x[1] - x[0] for x in logits])
            self.assertAlmostEqual(loss(8).item(), 1.5 * differences.var(unbiased=False).item(), places=5)
            self.assertGreater(loss(8).item(), 0)
            self.assertEqual(loss(7), 0)
