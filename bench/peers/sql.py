"""sql.py OUT.json: rows a second in SQL, on the server that libpq's environment names, as bench/peers/run tells it."""
import json
import os
import sys
import time

import numpy
import psycopg

from sessions import session
from texts import LABELS, in_turn, labelled, tokenizer

SETTINGS = "-c jit=off -c max_parallel_workers_per_gather=0"
TRANSFORMERS = """
if "classify" not in SD:
    import torch
    from transformers import AutoTokenizer, DistilBertForSequenceClassification, pipeline
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained({folder!r}, model_input_names=["input_ids", "attention_mask"])
    model = DistilBertForSequenceClassification.from_pretrained({folder!r}, dtype=torch.float32)
    SD["classify"] = pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")
return SD["classify"](review, truncation=True, max_length=512)[0]["label"]
"""
ONNXRUNTIME = """
if "session" not in SD:
    import numpy, onnxruntime
    from tokenizers import BertWordPieceTokenizer
    SD["array"] = numpy.array
    SD["tokenizer"] = BertWordPieceTokenizer({folder!r} + "/vocab.txt", lowercase=True)
    SD["tokenizer"].enable_truncation(512)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    SD["session"] = onnxruntime.InferenceSession({folder!r} + "/int8.onnx", options, providers=["CPUExecutionProvider"])
text = SD["tokenizer"].encode(review)
inputs = {{"input_ids": SD["array"]([text.ids]), "attention_mask": SD["array"]([text.attention_mask])}}
negative, positive = SD["session"].run(None, inputs)[0][0]
return "POSITIVE" if positive > negative else "NEGATIVE"
"""


class Query:
    """Labels by a function in SQL"""

    def __init__(self, name, call):
        self.name, self.query = name, "SELECT id, %s FROM reviews" % call
        self.connection = psycopg.connect(options=SETTINGS, autocommit=True)

    def answers(self, limit=None):
        return self.connection.execute(self.query + (" LIMIT %d" % limit if limit else "")).fetchall()


class Client:
    """Labels by a client that fetches texts and classifies them, a batch at a time, as they come"""

    def __init__(self, name, folder, batch):
        self.name, self.batch = name, batch
        self.connection = psycopg.connect(options=SETTINGS, autocommit=True)
        self.session = session(folder + "/int8.onnx")
        self.tokenizer = tokenizer(folder)
        self.tokenizer.enable_padding()

    def labels(self, reviews):
        texts = self.tokenizer.encode_batch(reviews)
        inputs = {"input_ids": numpy.array([text.ids for text in texts]),
                  "attention_mask": numpy.array([text.attention_mask for text in texts])}
        return [("NEGATIVE", "POSITIVE")[int(i)] for i in self.session.run(None, inputs)[0].argmax(axis=1)]

    def answers(self, limit=None):
        answers = []
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT id, review FROM reviews" + (" LIMIT %d" % limit if limit else ""))
            while rows := cursor.fetchmany(self.batch):
                answers += zip([row[0] for row in rows], self.labels([row[1] for row in rows]))
        return answers


def load(rows, count, folder):
    """The table "reviews" with `count` rows, the texts again and again, and the functions that a user would write."""
    with psycopg.connect(autocommit=True) as connection:
        connection.execute("CREATE EXTENSION plpython3u")
        for name, body in (("label_by_transformers", TRANSFORMERS), ("label_by_onnxruntime", ONNXRUNTIME)):
            connection.execute("CREATE FUNCTION %s(review text) RETURNS text LANGUAGE plpython3u AS $body$%s$body$" % (
                name, body.format(folder=folder)))
        connection.execute("CREATE TABLE reviews (id int, review text)")
        with connection.cursor().copy("COPY reviews FROM STDIN") as copy:
            for i in range(count):
                copy.write_row((i, rows[i % len(rows)][0]))
        connection.execute("VACUUM ANALYZE reviews")


def seconds(function):
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def main():
    rows, count = labelled(os.environ["TSV"]), int(os.environ["ROWS"])
    folder = os.environ["WORK"] + "/builtin"
    load(rows, count, folder)
    made = [lambda: Query("`SELECT sst2_label(review)`", "sst2_label(review)"),
            lambda: Query("PL/Python, ONNX Runtime int8", "label_by_onnxruntime(review)"),
            lambda: Query("PL/Python, transformers fp32", "label_by_transformers(review)"),
            lambda: Client("client, psycopg and ONNX Runtime int8, batches of 32", folder, 32)]
    ways, first = [], []
    for make in made:
        begin = time.perf_counter()
        ways.append(make())
        ways[-1].answers(1)
        first.append(time.perf_counter() - begin)
    right = [100 * sum(LABELS[label] == rows[i % len(rows)][1] for i, label in way.answers()) / count for way in ways]
    medians = in_turn([lambda way=way: seconds(way.answers) for way in ways], int(os.environ["REPEATS"]))
    with open(sys.argv[1], "w", encoding="ascii") as file:
        json.dump({"count": count, "ways": [{"name": way.name, "first": f, "right": r, "rate": count / m}
                                            for way, f, r, m in zip(ways, first, right, medians)]}, file, indent=1)


main()
