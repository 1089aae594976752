import os
import shutil
import tempfile
import unittest

from transformers import AutoTokenizer, BertTokenizer
from transformers.utils import logging

import folders
import texts
from server import pack

logging.disable_progress_bar()
PROBES = ["A good FILM: naïve café", "映画 was [MASK] good [mask]", "[ENT] the good film[ENT] good", "isn't it x", "a " * 40,
          "good [mask] plot of the", "thegoodfilmx", "good\u200bfilm\x01s good... film_plot!!", "goodgoodgoodgood the film",
          "\U0001fbf0 film"]
C = "config__json"
T = "tokenizer__json"
TC = "tokenizer_config__json"

# (what, of which family, changes of JSON files, what the packer says)
CHANGES = [
    ("other heads beside n_heads", "distilbert", {C: {"num_attention_heads": 2}},
     'config.json": what "num_attention_heads" asks for'),
    ("another activation", "distilbert", {C: {"activation": "relu"}}, '"activation" is "relu"; known: null, "gelu"'),
    ("another activation of BERT", "bert", {C: {"hidden_act": "gelu_new"}}, '"hidden_act" is "gelu_new"'),
    ("another epsilon", "bert", {C: {"layer_norm_eps": 1e-2}}, '"layer_norm_eps" is 0.01'),
    ("a decoder", "bert", {C: {"is_decoder": True}}, '"is_decoder" is true'),
    ("several labels at once", "distilbert", {C: {"problem_type": "multi_label_classification"}},
     '"problem_type" is "multi_label'),
    ("regression", "bert", {C: {"problem_type": "regression"}}, '"problem_type" is "regression"'),
    ("one label", "bert", {C: {"id2label": {"0": "good"}}}, '"id2label" has 1 labels'),
    ("another architecture", "bert", {C: {"architectures": ["BertForTokenClassification"]}},
     '"architectures" is ["BertForTokenClassification"]'),
    ("another tokenizer", "bert", {TC: {"tokenizer_class": "BertJapaneseTokenizer"}},
     '"tokenizer_class" is "BertJapaneseTokenizer"'),
    ("another tokenizer by config.json", "bert", {C: {"tokenizer_class": "BertJapaneseTokenizer"}, TC: {"tokenizer_class": None}},
     'config.json": "tokenizer_class" is "BertJapaneseTokenizer"'),
    ("capitals in tokenizer.json alone", "distilbert", {T: {"normalizer.lowercase": False}},
     '"normalizer.lowercase" comes to false'),
    ("capitals in tokenizer_config.json alone", "distilbert", {TC: {"do_lower_case": False}},
     '"normalizer.lowercase" comes to true'),
    ("accents in one file", "distilbert", {TC: {"strip_accents": False}}, '"normalizer.strip_accents" comes to true'),
    ("Chinese in one file", "bert", {T: {"normalizer.handle_chinese_chars": False}},
     '"normalizer.handle_chinese_chars" comes to false'),
    ("no tokenizer.json for its class", "bert", {TC: {"tokenizer_class": "TokenizersBackend"}}, 'tokenizer.json" is missing'),
    ("texts that are not cleaned", "bert", {T: {"normalizer.clean_text": False}}, '"normalizer.clean_text" is false'),
    ("another normalizer", "bert", {T: {"normalizer": {"type": "Lowercase"}}}, '"normalizer.type" is "Lowercase"'),
    ("another pre-tokenizer", "bert", {T: {"pre_tokenizer": {"type": "Whitespace"}}}, '"pre_tokenizer" is {"type":"Whitespace"}'),
    ("another prefix", "bert", {T: {"model.continuing_subword_prefix": "@@"}}, '"model.continuing_subword_prefix" is "@@"'),
    ("longer words", "bert", {T: {"model.max_input_chars_per_word": 10}}, '"model.max_input_chars_per_word" is 10'),
    ("a model that is no WordPiece", "bert", {T: {"model.type": "WordLevel"}}, '"model.type" is "WordLevel"'),
    ("another end", "bert", {T: {"post_processor.single": []}}, '"post_processor.single" is []'),
    ("no end", "bert", {T: {"post_processor": {"type": "ByteLevel"}}}, '"post_processor.'),
    ("cut at the left", "bert", {TC: {"truncation_side": "left", "model_max_length": 9}}, '"truncation_side" is "left"'),
    ("special tokens as text", "bert", {TC: {"split_special_tokens": True}}, '"split_special_tokens" is true'),
    ("an additional special token", "bert", {TC: {"additional_special_tokens": ["good"]}},
     '"additional_special_tokens" is ["good"]'),
    ("an extra special token", "bert", {TC: {"extra_special_tokens": ["film"]}}, '"extra_special_tokens" is ["film"]'),
    ("a renamed mask token", "bert", {TC: {"mask_token": "good"}}, '"mask_token" is good; known: "[MASK]"'),
    ("a renamed unknown token", "bert", {TC: {"unk_token": "the"}}, '"unk_token" is the; known: "[UNK]"'),
    ("a mask token of small letters", "bert", {TC: {"added_tokens_decoder": {}, "mask_token": {
        "__type": "AddedToken", "content": "[MASK]", "normalized": True, "lstrip": False, "rstrip": False,
        "single_word": False}}},
     '"mask_token.normalized" is true'),
    ("a mask token that takes blanks", "bert", {T: {"added_tokens": [
        {"id": 0, "content": "good", "single_word": True, "lstrip": True, "rstrip": True, "normalized": False,
         "special": True}]}},
     '"added_tokens" has "good"'),
    ("a special token of one's own", "bert", {"special_tokens_map__json": {"additional_special_tokens": ["good"]}},
     'special_tokens_map.json": "additional_special_tokens" is ["good"]'),
    ("an added token of older releases", "bert", {"added_tokens__json": {"[ENT]": 9999}},
     'added_tokens.json": what "[ENT]" asks for'),
    ("more basics", "bert", {TC: {"do_basic_tokenize": False}}, '"do_basic_tokenize" is false'),
]
OLD_ONLY = {"more basics"}      # heeded by releases before 5 alone
NO_JSON = {"no tokenizer.json for its class"}
# of the first two pipelines make other scores; the third has another head
SAME_LOGITS = {"several labels at once", "regression", "another architecture"}


class Refused(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.dir)
        vocab = texts.vocabulary(size=1500)
        self.base = {"bert": folders.bert(self.path("bert"), vocab),
                     "distilbert": folders.distilbert(self.path("distilbert"), vocab)}
        self.right = {family: next(self.readings(folder)) for family, folder in self.base.items()}

    def path(self, name):
        return os.path.join(self.dir, name)

    def readings(self, folder):
        """Logits of the probes, as transformers and as tokenizers read the folder, with or without tokenizer.json"""
        ways = [lambda: folders.token_ids(folder, PROBES)]
        if os.path.exists(os.path.join(folder, "tokenizer.json")):
            ways.append(lambda: [ids[:63] + ids[-1:] if len(ids) > 64 else ids
                                 for ids in folders.token_ids_of_json(folder, PROBES)])
        if os.path.exists(os.path.join(folder, "vocab.txt")):
            ways.append(lambda: BertTokenizer(vocab=os.path.join(folder, "vocab.txt"))(
                PROBES, truncation=True, max_length=64)["input_ids"])
        for way in ways:
            try:
                yield folders.logits(folder, way())[0]
            except Exception as wrong:  # what the library itself refuses
                yield repr(wrong)

    def refused(self, folder, family, message, same=False):
        """The packer refuses the folder, and to pack it as if nothing had been changed would be wrong"""
        status, said = pack(folder, self.path("out.dsst"))
        self.assertEqual((status, message in said), (1, True), said)
        self.assertFalse(os.path.exists(self.path("out.dsst")))
        right = self.right[family]
        if not same:
            self.assertTrue(any(reading != right for reading in self.readings(folder)), "it could have been packed")

    def test_changes(self):
        """Whatever changes an answer is refused by file and key"""
        for i, (name, family, changes, message) in enumerate(CHANGES):
            with self.subTest(name):
                folder = folders.copy(self.base[family], self.path("changed%d" % i))
                if name in NO_JSON:
                    folders.write_vocab_txt(folder, folders.pieces(folder))
                    os.remove(os.path.join(folder, "tokenizer.json"))
                for file, keys in changes.items():
                    folders.edit(os.path.join(folder, file.replace("__", ".")), keys)
                self.refused(folder, family, message, name in OLD_ONLY | SAME_LOGITS)

    def test_added_by_transformers(self):
        """Tokens that were added by transformers, also such as stand in the vocabulary"""
        for i, token in enumerate(("[ENT]", "good")):
            folder = folders.copy(self.base["bert"], self.path("added%d" % i))
            tokenizer = AutoTokenizer.from_pretrained(folder)
            tokenizer.add_special_tokens({"additional_special_tokens": [token]})
            tokenizer.save_pretrained(folder)
            self.refused(folder, "bert", '"%s' % token)

    def test_vocabularies(self):
        """vocab.txt that is not tokenizer.json's, and pieces with blanks at their end"""
        lines = folders.pieces(self.base["bert"])
        good, film = lines.index("good"), lines.index("film")
        swapped = list(lines)
        swapped[good], swapped[film] = "film", "good"
        folder = folders.copy(self.base["bert"], self.path("swapped"))
        folders.write_vocab_txt(folder, swapped)
        self.refused(folder, "bert", 'vocab.txt" has "%s" for piece %d, but tokenizer.json "%s"' % (
            swapped[min(good, film)], min(good, film), lines[min(good, film)]))
        for name, end in (("blank", " "), ("wide", "\u3000"), ("return", "\rx")):
            folder = folders.copy(self.base["bert"], self.path(name))
            os.remove(os.path.join(folder, "tokenizer.json"))
            folders.write_vocab_txt(folder, lines[:good] + ["good" + end] + lines[good + 1:])
            self.refused(folder, "bert", "piece %d of the vocabulary has a blank at its end" % good, same=name != "return")

    def test_not_refused(self):
        """What bears on no answer is packed: other dropouts, names, dates"""
        for family, keys in (("bert", {"hidden_dropout_prob": 0.9, "classifier_dropout": 0.5, "transformers_version": "4.0"}),
                             ("distilbert", {"seq_classif_dropout": 0.9, "torch_dtype": "float32", "finetuning_task": "sst-2"})):
            folder = folders.copy(self.base[family], self.path("as-" + family), config__json=keys)
            status, said = pack(folder, self.path(family + ".dsst"))
            self.assertEqual(status, 0, said)
