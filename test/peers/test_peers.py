"""The figures of bench/peers."""
import os
import tempfile
import unittest

import report
import texts

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
ENGINES = [("distilsst", "int8"), ("distilsst", "fp32"), ("ONNX Runtime", "int8"), ("OpenVINO", "bf16"), ("OpenVINO", "int8")]


class Texts(unittest.TestCase):
    def test_batches(self):
        "batches have every text once, sorted by length"
        self.assertEqual(texts.sorted_batches([[1, 1, 1], [2], [3, 3], [4], [5] * 9], 2),
                         [[[2], [4]], [[3, 3], [1, 1, 1]], [[5] * 9]])

    def test_padded(self):
        "a padded batch has zeros behind a text's end, and a mask that says so"
        ids, mask = texts.padded([[7], [8, 9, 5]])
        self.assertEqual((ids.tolist(), mask.tolist()), ([[7, 0, 0], [8, 9, 5]], [[1, 0, 0], [1, 1, 1]]))

    def test_accuracy(self):
        "accuracy is the share of labels with the greater logit"
        self.assertEqual(texts.accuracy([[2.0, 1.0], [0.0, 3.0], [5.0, 4.0], [1.0, 0.5]], [0, 1, 1, 0]), 75)

    def test_in_turn(self):
        "each way has one turn a round, and its own median"
        turns = []
        ways = [lambda n=n: turns.append(n) or 10 * n + len(turns) for n in range(2)]
        self.assertEqual(texts.in_turn(ways, 3), [3, 14])
        self.assertEqual(turns, [0, 1] * 3)

    def test_labelled(self):
        "labelled texts by the names of the columns"
        with tempfile.NamedTemporaryFile("w", suffix=".tsv") as file:
            file.write("label\tid\tsentence\n0\t1\tvery dull\npositive\t2\ta \"good\" film\n")
            file.flush()
            self.assertEqual(texts.labelled(file.name), [("very dull", 0), ('a "good" film', 1)])

    def test_reviews(self):
        "made reviews are spread over all lengths"
        lengths = [len(review.split()) + 2 for review in texts.made_reviews(ROOT, 24)]
        self.assertEqual(len(lengths), 24)
        self.assertTrue(60 <= min(lengths) < 70 and 400 < max(lengths) <= 512 and 220 < sum(lengths) / 24 < 256, lengths)


class Report(unittest.TestCase):
    def test_ratios(self):
        "ours in int8 against the best peer, and the best in int8; ours in fp32 is no peer"
        self.assertEqual(report.ratios(ENGINES, [2.0, 1.0, 6.0, 3.0, 5.0]), (1.5, 2.5))

    def test_points(self):
        "the picture has sentences by the better of one by one and batches"
        rows = [{"model": "builtin", "texts": kind, "ms": ms}
                for kind, ms in (("sentences", [2.0, 8.0]), ("sentences", [1.0, 10.0]), ("reviews", [0.1, 0.1]))]
        self.assertEqual(report.points({"engines": ENGINES[:2], "rows": rows}),
                         {("distilsst", "int8", "builtin"): 1000, ("distilsst", "fp32", "builtin"): 125})

    def test_sql(self):
        "rows a second beside the best of the others"
        ways = [{"name": name, "rate": rate, "right": 90, "first": 1} for name, rate in (("ours", 600), ("a", 100), ("b", 240))]
        self.assertEqual([line.split(" | ")[2] for line in report.sql_table({"ways": ways})[2:]], ["2.50", "0.42", "1.00"])
