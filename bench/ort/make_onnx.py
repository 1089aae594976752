#!/usr/bin/python3
"""make_onnx.py MODEL_DIR OUT.onnx [fp32|int8]

Writes the DistilBERT of MODEL_DIR (config.json, model.safetensors) as an ONNX model for ONNX Runtime: the nodes of PyTorch's
exporter, which its optimiser knows how to fuse. Inputs input_ids and attention_mask, int64 [batch, sequence]; output logits.

int8 is what onnxruntime.quantization.quantize_dynamic(per_channel=True) makes of the linear layers: symmetric int8 weights
per column, activations in uint8 by tensor at run time. All else, the embeddings too, stays in float.

Needs Debian's python3-onnx, which brings numpy.
"""
import json
import struct
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

DTYPES = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}


def read_safetensors(path):
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        data = file.read()
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        values = np.frombuffer(data[begin:end], DTYPES[entry["dtype"]])
        if entry["dtype"] == "BF16":
            values = (values.astype(np.uint32) << 16).view(np.float32)
        tensors[name] = values.astype(np.float32).reshape(entry["shape"])
    return tensors


class Graph:
    """Nodes and constants in order; every method returns the name of what it adds."""

    def __init__(self, tensors, int8):
        self.tensors = tensors
        self.int8 = int8
        self.nodes = []
        self.constants = {}
        self.quantized = {}

    def constant(self, name, values):
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.array(values, order="C"), name)
        return name

    def scalar(self, value):
        return self.constant(f"scalar_{value}", np.float32(value))

    def shape(self, *dims):
        return self.constant("shape_" + "_".join(map(str, dims)), np.array(dims, np.int64))

    def nodes_of(self, op, inputs, count, **attributes):
        names = [f"{op}_{len(self.nodes)}_{i}" for i in range(count)]
        self.nodes.append(helper.make_node(op, inputs, names, **attributes))
        return names

    def node(self, op, *inputs, **attributes):
        return self.nodes_of(op, inputs, 1, **attributes)[0]

    def weight(self, name):
        return self.constant(name, self.tensors[name])

    def linear(self, x, name):
        weight = self.tensors[name + ".weight"].T
        product = self.matmul_int8(x, name, weight) if self.int8 else self.node(
            "MatMul", x, self.constant(name + ".weight", weight))
        return self.node("Add", product, self.weight(name + ".bias"))

    def matmul_int8(self, x, name, weight):
        scale = np.maximum(np.abs(weight).max(axis=0) / 127, np.float32(1e-30))
        rounded = np.clip(np.rint(weight / scale), -127, 127).astype(np.int8)
        if x not in self.quantized:  # q, k and v share it
            self.quantized[x] = self.nodes_of("DynamicQuantizeLinear", [x], 3)
        u, x_scale, x_zero = self.quantized[x]
        sums = self.node("MatMulInteger", u, self.constant(name + ".weight_int8", rounded), x_zero,
                         self.constant(name + ".weight_zero", np.zeros(len(scale), np.int8)))
        scales = self.node("Mul", x_scale, self.constant(name + ".weight_scale", scale.astype(np.float32)))
        return self.node("Mul", self.node("Cast", sums, to=TensorProto.FLOAT), scales)

    def layer_norm(self, x, name):
        return self.node("LayerNormalization", x, self.weight(name + ".weight"), self.weight(name + ".bias"),
                         axis=-1, epsilon=1e-12)

    def gelu(self, x):
        erf = self.node("Erf", self.node("Div", x, self.scalar(np.sqrt(np.float32(2)))))
        return self.node("Mul", self.node("Mul", x, self.node("Add", erf, self.scalar(1.0))), self.scalar(0.5))


def embeddings(g):
    length = g.node("Gather", g.node("Shape", "input_ids"), g.constant("one", np.int64(1)), axis=0)
    positions = g.node("Slice", g.weight("distilbert.embeddings.position_embeddings.weight"), g.shape(0),
                       g.node("Unsqueeze", length, g.shape(0)), g.shape(0))
    words = g.node("Gather", g.weight("distilbert.embeddings.word_embeddings.weight"), "input_ids", axis=0)
    return g.layer_norm(g.node("Add", words, positions), "distilbert.embeddings.LayerNorm")


def attention(g, x, mask, name, heads, size):
    def split(part, order):
        by_head = g.node("Reshape", g.linear(x, f"{name}.{part}"), g.shape(0, 0, heads, size))
        return g.node("Transpose", by_head, perm=order)

    q = g.node("Div", split("q_lin", [0, 2, 1, 3]), g.scalar(np.sqrt(np.float32(size))))
    scores = g.node("Add", g.node("MatMul", q, split("k_lin", [0, 2, 3, 1])), mask)
    context = g.node("MatMul", g.node("Softmax", scores, axis=-1), split("v_lin", [0, 2, 1, 3]))
    context = g.node("Reshape", g.node("Transpose", context, perm=[0, 2, 1, 3]), g.shape(0, 0, heads * size))
    return g.linear(context, f"{name}.out_lin")


def classifier(g, x):
    cls = g.node("Gather", x, g.constant("zero", np.int64(0)), axis=1)
    return g.linear(g.node("Relu", g.linear(cls, "pre_classifier")), "classifier")


def distilbert(g, config):
    # 0 where the mask is 1, and -inf enough where it is 0
    hidden = g.node("Sub", g.scalar(1.0), g.node("Cast", "attention_mask", to=TensorProto.FLOAT))
    mask = g.node("Mul", g.node("Unsqueeze", hidden, g.shape(1, 2)), g.scalar(float(np.finfo(np.float32).min)))
    x = embeddings(g)
    for i in range(config["n_layers"]):
        name = f"distilbert.transformer.layer.{i}"
        attended = attention(g, x, mask, name + ".attention", config["n_heads"], config["dim"] // config["n_heads"])
        x = g.layer_norm(g.node("Add", attended, x), name + ".sa_layer_norm")
        wide = g.gelu(g.linear(x, name + ".ffn.lin1"))
        x = g.layer_norm(g.node("Add", g.linear(wide, name + ".ffn.lin2"), x), name + ".output_layer_norm")
    g.nodes.append(helper.make_node("Identity", [classifier(g, x)], ["logits"]))


def main():
    if len(sys.argv) not in (3, 4) or sys.argv[3:] not in ([], ["fp32"], ["int8"]):
        sys.exit(__doc__.split("\n", 1)[0])
    folder, out = sys.argv[1:3]
    with open(folder + "/config.json", encoding="utf-8") as file:
        config = json.load(file)
    g = Graph(read_safetensors(folder + "/model.safetensors"), sys.argv[3:] == ["int8"])
    distilbert(g, config)
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
              for name in ("input_ids", "attention_mask")]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "labels"])]
    graph = helper.make_graph(g.nodes, "distilbert", inputs, outputs, list(g.constants.values()))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, out)


main()
