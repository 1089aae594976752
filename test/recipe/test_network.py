import tempfile
import unittest

import made_up  # noqa: F401, finds the recipe
import torch
from transformers import DistilBertForSequenceClassification, RobertaConfig

from network import FirstTokenBlock, classifier


class Network(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def test_folding(self):
        """A BERT with its token types folded in gives what transformers' BERT gives"""
        bert = made_up.encoder(self.folder)
        ids = torch.randint(5, 60, (3, 17), generator=torch.Generator().manual_seed(1))
        expected = bert(ids, token_type_ids=torch.zeros_like(ids)).last_hidden_state[:, 0]
        model, _ = classifier(self.folder, ["a", "b", "c"])
        got = model.eval().distilbert(ids.to(model.device)).last_hidden_state[:, 0].cpu()
        self.assertLess((got - expected).abs().max(), 1e-5)
        self.assertEqual(model.config.id2label, {0: "a", 1: "b", 2: "c"})

    def test_types_matter(self):
        """Of the two token types it is the first that is folded in"""
        bert = made_up.encoder(self.folder)
        ids = torch.arange(5, 22)[None]
        other = bert(ids, token_type_ids=torch.ones_like(ids)).last_hidden_state[:, 0]
        model, _ = classifier(self.folder, ["a", "b"])
        self.assertGreater((model.eval().distilbert(ids.to(model.device)).last_hidden_state[:, 0].cpu() - other).abs().max(), 0.1)

    def test_first_token(self):
        """A last layer that computes [CLS] alone gives the same logits and gradients, with padding and without"""
        made_up.encoder(self.folder, "distilbert")
        torch.manual_seed(2)
        whole = DistilBertForSequenceClassification.from_pretrained(self.folder).eval()
        short = DistilBertForSequenceClassification.from_pretrained(self.folder).eval()
        short.load_state_dict(whole.state_dict())
        short.distilbert.transformer.layer[-1].__class__ = FirstTokenBlock
        ids = torch.randint(5, 60, (4, 12))
        padding = torch.tensor([[1] * n + [0] * (12 - n) for n in (12, 7, 2, 1)])
        for mask in (None, padding, padding[:, None, None].bool()):
            answers = [model(ids, attention_mask=mask).logits for model in (whole, short)]
            self.assertLess((answers[0] - answers[1]).abs().max(), 1e-6)
            gradients = [torch.autograd.grad(logits.square().sum(), model.distilbert.transformer.layer[0].ffn.lin1.weight)[0]
                         for logits, model in zip(answers, (whole, short))]
            self.assertLess((gradients[0] - gradients[1]).abs().max(), 1e-5 * gradients[0].abs().max())

    def test_refused(self):
        """Other kinds of models, and a BERT that no DistilBERT equals, are refused with the reason"""
        made_up.encoder(self.folder, hidden_act="relu")
        with self.assertRaisesRegex(SystemExit, "hidden_act relu"):
            classifier(self.folder, ["a", "b"])
        made_up.encoder(self.folder, layer_norm_eps=1e-5)
        with self.assertRaisesRegex(SystemExit, "layer_norm_eps 1e-05"):
            classifier(self.folder, ["a", "b"])
        RobertaConfig().save_pretrained(self.folder)
        with self.assertRaisesRegex(SystemExit, "type roberta"):
            classifier(self.folder, ["a", "b"])
