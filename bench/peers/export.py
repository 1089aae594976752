"""export.py FOLDER: the model of a folder as ONNX, FOLDER/fp32.onnx and FOLDER/int8.onnx."""
import sys

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process
from transformers import DistilBertForSequenceClassification


def export_onnx(folder, path):
    """The model by torch's own exporter, with any number of texts of any length."""
    model = DistilBertForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    # two tensors: the exporter takes one that is given twice for one input
    ids, mask = torch.full((2, 8), 100), torch.ones(2, 8, dtype=torch.int64)
    sizes = {0: torch.export.Dim("texts"), 1: torch.export.Dim("tokens", max=512)}
    torch.onnx.export(model, (), path, kwargs={"input_ids": ids, "attention_mask": mask}, dynamo=True,
                      input_names=["input_ids", "attention_mask"], output_names=["logits"], verbose=False,
                      external_data=False, dynamic_shapes={"input_ids": sizes, "attention_mask": sizes})


def quantize_onnx(path, out):
    """The usual int8 without calibration: weights beforehand, activations as they come."""
    prepared = out + ".prepared"
    quant_pre_process(path, prepared, skip_symbolic_shape=True)
    quantize_dynamic(prepared, out, per_channel=True, weight_type=QuantType.QInt8)


export_onnx(sys.argv[1], sys.argv[1] + "/fp32.onnx")
quantize_onnx(sys.argv[1] + "/fp32.onnx", sys.argv[1] + "/int8.onnx")
