"""distilsst and its peers, each on one thread: seconds for texts in batches, and logits."""
import logging
import subprocess
import time
import warnings

import numpy

from sessions import session
from texts import padded, sorted_batches

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

# pylint: disable=wrong-import-position
import nncf
import openvino
import torch
from transformers import DistilBertForSequenceClassification


class Distilsst:
    """host/bench/engine with a packed model. It gets texts as they are, in their order: it has no padding."""

    def __init__(self, program, model, precision, ids_file):
        self.name, self.precision = "distilsst", precision
        self.command = [program, "-m", model, "-i", ids_file]
        self.ids_file = ids_file

    def run(self, texts, *options):
        with open(self.ids_file, "w", encoding="ascii") as file:
            file.writelines(" ".join(map(str, text)) + "\n" for text in texts)
        return subprocess.run(self.command + list(options), check=True, capture_output=True, text=True).stdout

    def kernels(self):
        return self.run([[101, 102]], "-r", "1").split()[1].rstrip(",")

    def timing(self, texts, size):
        """-> a function that measures once: milliseconds a text"""
        return lambda: float(self.run(texts, "-b", str(size), "-r", "1").splitlines()[1].split()[0])

    def logits(self, texts):
        return numpy.array([line.split() for line in self.run(texts, "--logits").splitlines()], dtype=float)


class Peer:
    """A function of padded ids and their mask that gives logits. It gets texts sorted by length, and padded beforehand."""

    def __init__(self, name, precision, function):
        self.name, self.precision, self.function = name, precision, function

    def timing(self, texts, size):
        batches = [padded(batch) for batch in sorted_batches(texts, size)]

        def run():
            begin = time.perf_counter()
            for ids, mask in batches:
                self.function(ids, mask)
            return 1e3 * (time.perf_counter() - begin) / len(texts)

        run()  # plans its memory and its kernels for each new shape
        return run

    def padded_logits(self, texts):
        return self.function(*padded(texts)).astype(float)

    def logits(self, texts):
        return numpy.concatenate([self.padded_logits([text]) for text in texts])


def transformers_peer(folder, precision):
    model = DistilBertForSequenceClassification.from_pretrained(folder, dtype={"fp32": torch.float32,
                                                                               "bf16": torch.bfloat16}[precision]).eval()

    def run(ids, mask):
        with torch.inference_mode():
            return model(input_ids=torch.from_numpy(ids), attention_mask=torch.from_numpy(mask)).logits.float().numpy()

    return Peer("transformers", precision, run)


def onnxruntime_peer(path, precision):
    opened = session(path)
    return Peer("ONNX Runtime", precision, lambda ids, mask: opened.run(None, {"input_ids": ids, "attention_mask": mask})[0])


def openvino_peer(model, precision):
    # int8: what is not quantised is in the precision that OpenVINO chooses
    hint = {"bf16": {"INFERENCE_PRECISION_HINT": "bf16"}, "int8": {}}[precision]
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, **hint})
    request = compiled.create_infer_request()
    return Peer("OpenVINO", precision, lambda ids, mask: request.infer({"input_ids": ids, "attention_mask": mask})[0].copy())


def quantize_openvino(model, texts):
    """int8 by NNCF, which looks at texts to find the ranges of activations."""
    inputs = [dict(zip(("input_ids", "attention_mask"), padded([text]))) for text in texts]
    return nncf.quantize(model, nncf.Dataset(inputs), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(inputs))


def peers(folder, calibration):
    """All peers with the model of a folder, where export.py has been"""
    torch.set_num_threads(1)
    model = openvino.convert_model(folder + "/fp32.onnx")
    return [onnxruntime_peer(folder + "/int8.onnx", "int8"), openvino_peer(quantize_openvino(model, calibration), "int8"),
            openvino_peer(model, "bf16"), transformers_peer(folder, "bf16"),
            onnxruntime_peer(folder + "/fp32.onnx", "fp32"), transformers_peer(folder, "fp32")]
