import os
import tempfile
import unittest

import made_up
import numpy as np
import torch
from transformers import DistilBertForMaskedLM

from network import masked_language_model
from pretrain import MASKED, masked, masked_loss


class Pretrain(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        made_up.encoder(folder.name)
        cls.folder = folder.name
        cls.model, cls.tokenizer = masked_language_model(folder.name)
        cls.model.eval()

    def test_masked(self):
        """A fifth of the pieces is asked for: of these eight of ten are masked, one is another piece and one stays"""
        ids = np.tile(np.arange(5, 55), (400, 1))
        ids[:, 0] = self.tokenizer.cls_token_id
        new, places, wanted = masked(ids, self.tokenizer, np.random.default_rng(1))
        self.assertEqual(wanted.tolist(), ids.flat[places].tolist())
        untouched = np.setdiff1d(np.arange(ids.size), places)
        self.assertTrue((new.flat[untouched] == ids.flat[untouched]).all())
        self.assertTrue((new[:, 0] == self.tokenizer.cls_token_id).all())
        self.assertAlmostEqual(len(places) / (ids.size - 400), MASKED, delta=0.01)
        now = new.flat[places]
        self.assertAlmostEqual((now == self.tokenizer.mask_token_id).mean(), 0.8, delta=0.03)
        self.assertAlmostEqual((now == wanted).mean(), 0.1, delta=0.03)

    def test_loss(self):
        """The loss is that of transformers' own model over the places that are asked for; longer texts are cut"""
        batch = [(np.arange(5, 45), None), (np.arange(6, 48), None)]
        batch[0][0][0] = batch[1][0][0] = self.tokenizer.cls_token_id
        ids = np.stack([batch[0][0], batch[1][0][:40]]).astype(np.int64)
        new, places, wanted = masked(ids, self.tokenizer, np.random.default_rng([3, 7]))
        labels = np.full(ids.size, -100)
        labels[places] = wanted
        inputs, labels = torch.from_numpy(new), torch.from_numpy(labels).reshape(ids.shape)
        with torch.no_grad():
            expected = self.model(inputs.to(self.model.device), labels=labels.to(self.model.device)).loss
            self.assertAlmostEqual(masked_loss(self.model, self.tokenizer, 3)(batch, 7).item(), expected.item(), places=5)

    def test_one_table(self):
        """The words that are read and those that are asked for are the same vectors, also when they were saved"""
        with tempfile.TemporaryDirectory() as folder:
            self.model.save_pretrained(folder)
            again = DistilBertForMaskedLM.from_pretrained(folder)
            self.assertTrue(os.path.isfile(os.path.join(folder, "model.safetensors")))
        for model in (self.model, again):
            self.assertIs(model.vocab_projector.weight, model.distilbert.embeddings.word_embeddings.weight)
