import math
import os
import shutil
import tempfile
import unittest

import torch
from transformers import AutoTokenizer, DistilBertTokenizer, pipeline
from transformers.utils import logging

import folders
import texts
from server import Server

logging.disable_progress_bar()
UNCASED, CASED = texts.vocabulary(), texts.vocabulary(cased=True, accents=True)
# of both, but without marks, which a model that strips accents must not have in more than one order
MIXED = {piece: i for i, piece in enumerate(sorted({*texts.vocabulary(cased=True), *UNCASED}))}
TEXTS = texts.texts()


def softmax(row):
    powers = [math.exp(x - max(row)) for x in row]
    return [power / sum(powers) for power in powers]


class Judge(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.dir)
        self.server = Server()
        self.addCleanup(self.server.connection.close)

    def same_ids(self, folder, chosen):
        """Token ids of the texts, which we and transformers agree about; the server's model is the folder's"""
        name = self.server.install(folder)
        theirs, ours = folders.token_ids(folder, chosen), self.server.token_ids(chosen)
        wrong = [i for i in range(len(chosen)) if ours[i] != theirs[i]]
        self.assertEqual(len(wrong), 0, "ids of %r: %r, not %r" % (
            (chosen[wrong[0]], ours[wrong[0]], theirs[wrong[0]]) if wrong else ("", "", "")))
        return name, theirs

    def judge(self, folder, chosen=TEXTS):
        name, ids = self.same_ids(folder, chosen)
        expected, labels = folders.logits(folder, ids)
        for got, row in zip(self.server.logits(chosen, name), expected):
            scale = max(1, max(map(abs, row)))
            self.assertLess(max(abs(a - b) for a, b in zip(got, row)), 1e-5 * scale)
        for (label, score, tokens), row, its_ids in zip(self.server.classified(chosen, name), expected, ids):
            first, second = sorted(softmax(row), reverse=True)[:2]
            self.assertLess(abs(score - first), 1e-5)
            self.assertEqual(tokens, len(its_ids))
            if first - second > 2e-5:
                self.assertEqual(label, labels[row.index(max(row))])
        self.assertGreater(len({label for label, _, _ in self.server.classified(chosen, name)}), 1, "one label only: no test")
        few = [text for text, its_ids in zip(chosen, ids) if len(its_ids) < 15][:20]     # pipelines do not truncate
        ask = pipeline("text-classification", model=folder)
        for (label, score, _), answer in zip(self.server.classified(few, name), ask(few)):
            self.assertEqual(label, answer["label"])
            self.assertLess(abs(score - answer["score"]), 1e-5)

    def path(self, name="folder"):
        return os.path.join(self.dir, name)

    def test_distilbert(self):
        """DistilBERT as save_pretrained leaves it"""
        self.judge(folders.distilbert(self.path(), UNCASED))

    def test_distilbert_shape(self):
        """DistilBERT of an odd shape, five labels with names"""
        names = {0: "1 star", 1: "2 stars", 2: "très", 3: "映画", 4: "5 stars"}
        self.judge(folders.distilbert(self.path(), UNCASED, seed=3, layers=1, dim=45, heads=5, hidden=77, positions=33,
                                      id2label=names))

    def test_bert(self):
        """BERT, uncased"""
        self.judge(folders.bert(self.path(), UNCASED, seed=4))

    def test_bert_cased(self):
        """BERT, cased, three labels, three token types"""
        self.judge(folders.bert(self.path(), CASED, seed=5, layers=3, dim=64, heads=2, hidden=80, type_vocab_size=3, num_labels=3,
                                tokenizer={"do_lower_case": False}))

    def test_bert_512(self):
        """BERT with 512 positions and a limit of 512"""
        self.judge(folders.bert(self.path(), UNCASED, seed=6, layers=1, dim=32, heads=2, positions=512,
                                tokenizer={"model_max_length": 512}))

    def test_normalizers(self):
        """Every setting of lower case, accents and Chinese characters"""
        base = folders.distilbert(self.path("base"), MIXED)
        for lower in (True, False):
            for strip in (None, True, False):
                for chinese in (True, False):
                    folder = shutil.copytree(base, self.path("%s%s%s" % (lower, strip, chinese)))
                    DistilBertTokenizer(vocab=MIXED, do_lower_case=lower, strip_accents=strip,
                                        tokenize_chinese_chars=chinese).save_pretrained(folder)
                    with self.subTest(lower=lower, strip=strip, chinese=chinese):
                        self.same_ids(folder, TEXTS)

    def test_sweep(self):
        """Every code point, in every way of reading"""
        chosen = texts.sweep()
        for accents in (True, False):
            vocab = texts.all_characters(accents)
            folder = folders.distilbert(self.path(str(accents)), vocab, layers=1, dim=4, heads=1, hidden=4, positions=8192)
            for lower, chinese in ((True, True), (False, True), (not accents, False)):
                DistilBertTokenizer(vocab=vocab, do_lower_case=lower, strip_accents=not accents,
                                    tokenize_chinese_chars=chinese).save_pretrained(folder)
                with self.subTest(lower=lower, accents=accents, chinese=chinese):
                    _, ids = self.same_ids(folder, chosen)
                    self.assertLess(max(map(len, ids)), 8192)

    def test_sharded(self):
        """Weights in several files"""
        folder = folders.bert(self.path(), UNCASED, seed=7, save={"max_shard_size": "100KB"})
        self.assertGreater(len([name for name in os.listdir(folder) if name.endswith(".safetensors")]), 2)
        self.judge(folder)

    def test_half(self):
        """Weights in F16 and BF16, answered as their values in F32 are"""
        for dtype in (torch.float16, torch.bfloat16):
            folder = self.path(str(dtype))
            folders.distilbert(folder, UNCASED, seed=8)
            folders.network("distilbert", 8, vocab_size=len(UNCASED), n_layers=2, dim=48, n_heads=4, hidden_dim=96,
                            max_position_embeddings=64).to(dtype).save_pretrained(folder)
            name, ids = self.same_ids(folder, TEXTS[:300])
            expected, _ = folders.logits(folder, ids)
            for got, row in zip(self.server.logits(TEXTS[:300], name), expected):
                self.assertLess(max(abs(a - b) for a, b in zip(got, row)), 1e-5 * max(1, max(map(abs, row))))

    def test_older(self):
        """vocab.txt and no tokenizer.json, with and without tokenizer_config.json and the files of older releases"""
        folder = folders.distilbert(self.path(), UNCASED, seed=9)
        folders.write_vocab_txt(folder, folders.pieces(folder))
        self.judge(folder)
        os.remove(os.path.join(folder, "tokenizer.json"))
        self.judge(folder)
        folders.edit(os.path.join(folder, "special_tokens_map.json"), {
            "unk_token": "[UNK]",
            "mask_token": {"content": "[MASK]", "lstrip": False, "normalized": False, "rstrip": False, "single_word": False}})
        folders.edit(os.path.join(folder, "tokenizer_config.json"), {"model_max_length": 17, "max_len": 5})
        self.judge(folder)
        os.remove(os.path.join(folder, "tokenizer_config.json"))
        self.judge(folder)

    def test_limits(self):
        """A limit below the positions, a limit in tokenizer.json that nobody asked for, the classes of tokenizers"""
        base = folders.distilbert(self.path("base"), UNCASED, seed=10, tokenizer={"model_max_length": 21})
        self.judge(base)
        short = folders.copy(base, self.path("short"))
        tokenizer = AutoTokenizer.from_pretrained(short)
        tokenizer("cut", truncation=True, max_length=9, padding="max_length")
        tokenizer.save_pretrained(short)
        with open(os.path.join(short, "tokenizer.json"), encoding="utf-8") as file:
            self.assertIn('"max_length": 9', file.read())
        self.judge(short)
        for name in ("PreTrainedTokenizerFast", "TokenizersBackend", "BertTokenizer", "BertTokenizerFast",
                     "DistilBertTokenizerFast"):
            with self.subTest(name):
                folder = folders.copy(base, self.path(name), tokenizer_config__json={"tokenizer_class": name})
                self.same_ids(folder, TEXTS[:500])
