import copy
import os
import random
import tempfile
import unittest

import made_up  # noqa: F401, finds the recipe
import torch

import training
from network import classifier, tune_gently
from training import Settings, batches, cross_entropy, padded, rate, tensors, train


class Training(unittest.TestCase):
    def test_batches(self):
        """An epoch's batches have every example once, and lengths that are near each other"""
        rng = random.Random(3)
        examples = [([i] * rng.randint(1, 40), [1.0, 0.0]) for i in range(1000)]
        plan = batches(examples, lambda longest: 32, rng)
        self.assertEqual(sorted(ids[0] for batch in plan for ids, _ in batch), list(range(1000)))
        self.assertEqual(sorted(map(len, plan)), [1000 % 32] + [32] * (1000 // 32))
        lengths = [[len(ids) for ids, _ in batch] for batch in plan]
        self.assertLessEqual(max(max(batch) - min(batch) for batch in lengths), 3)

    def test_sizes(self):
        """How many texts a batch has is decided by its longest"""
        plan = batches([([1] * n, None) for n in range(1, 101)], lambda longest: 5 if longest > 50 else 25, random.Random(3))
        self.assertEqual(sorted((len(batch), max(len(ids) for ids, _ in batch) > 50) for batch in plan),
                         [(5, True)] * 10 + [(25, False)] * 2)

    def test_padded(self):
        """A GPU meets few lengths; a CPU pads nothing"""
        self.assertEqual([padded(n, torch.device("cpu")) for n in (1, 65, 511)], [1, 65, 511])
        self.assertEqual([padded(n, torch.device("cuda")) for n in (1, 8, 9, 64, 65, 97, 512)], [8, 8, 16, 64, 96, 128, 512])

    def test_tensors(self):
        """Shorter texts of a batch are padded and masked; equal ones need no mask"""
        self.assertEqual(list(tensors([[1, 2], [3, 4]], 0, torch.device("cpu"))), ["input_ids"])
        made = tensors([[1, 2, 3], [4]], 9, torch.device("cpu"))
        self.assertEqual(made["input_ids"].tolist(), [[1, 2, 3], [4, 9, 9]])
        self.assertEqual(made["attention_mask"].tolist(), [[[[True, True, True]]], [[[True, False, False]]]])

    def test_rate(self):
        """The rate rises in the warm-up and falls to nothing, also where the warm-up is longer than the run"""
        rates = [rate(step, 100, Settings("", rate=1.0, warmup=10)) for step in range(100)]
        self.assertEqual(rates[:10], [(i + 1) / 10 for i in range(10)])
        self.assertAlmostEqual(rates[99], 1 / 90)
        self.assertEqual(rates[10:], sorted(rates[10:], reverse=True))
        self.assertEqual(rate(49, 50, Settings("", rate=1.0, warmup=100)), 0.5)

    def test_resumed(self):
        """A run that was stopped goes on to the same weights, bit for bit"""
        with tempfile.TemporaryDirectory() as folder:
            made_up.encoder(folder)
            training.SAVE_EVERY, kept = 0, training.SAVE_EVERY
            self.addCleanup(setattr, training, "SAVE_EVERY", kept)
            torch.set_num_threads(1)
            first, tokenizer = classifier(folder, ["a", "b"])
            tune_gently(first)
            second, third = copy.deepcopy(first), copy.deepcopy(first)
            examples = [(ids, [1.0, 0.0]) for ids in tokenizer([t for t, _ in made_up.labelled(80)])["input_ids"]]
            plan, path = batches(examples, lambda longest: 8, random.Random(1)), os.path.join(folder, "state.pt")

            def loss_of(model, stop=None):
                def loss(batch, step):
                    if step == stop:
                        raise KeyboardInterrupt
                    return cross_entropy(model, tokenizer.pad_token_id)(batch, step)
                return loss

            train(first, plan, loss_of(first), Settings("whole", warmup=3, rate=1e-3))
            with self.assertRaises(KeyboardInterrupt):
                train(second, plan, loss_of(second, 6), Settings("stopped", warmup=3, rate=1e-3), path)
            train(third, plan, loss_of(third), Settings("resumed", warmup=3, rate=1e-3), path)
            for (name, a), b, unlike in zip(first.state_dict().items(), third.state_dict().values(),
                                            second.state_dict().values()):
                self.assertTrue(torch.equal(a, b), name)
            self.assertFalse(torch.equal(a, unlike))
