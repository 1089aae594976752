"""The Hugging Face folder of a finished model, weights in F16."""
import json
import os
import struct

import numpy as np
import torch

from network import config


def write_safetensors(path, state):
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    arrays = {name: state[name].cpu().numpy().astype("<f2") for name in sorted(state)}
    for name, array in arrays.items():
        header[name] = {"dtype": "F16", "shape": list(array.shape),
                        "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode("ascii")
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for array in arrays.values():
            f.write(array.tobytes())


def read_safetensors(path):
    with open(path, "rb") as f:
        blob = f.read()
    size, = struct.unpack_from("<Q", blob)
    header = json.loads(blob[8:8 + size])
    header.pop("__metadata__", None)
    state = {}
    for name, t in header.items():
        first, last = (8 + size + x for x in t["data_offsets"])
        array = np.frombuffer(blob[first:last], "<f2").reshape(t["shape"])
        state[name] = torch.from_numpy(array.astype(np.float32))
    return state


def export(model, tok, a):
    os.makedirs(a.out, exist_ok=True)
    write_safetensors(os.path.join(a.out, "model.safetensors"), model.state_dict())
    with open(os.path.join(a.out, "config.json"), "w", encoding="ascii") as f:
        json.dump(config(len(tok.pieces), a), f, indent=2)
        f.write("\n")
    with open(os.path.join(a.out, "vocab.txt"), "w", encoding="utf-8", newline="\n") as f:
        f.writelines(piece + "\n" for piece in tok.pieces)
