"""Where training may start instead: from what the post-training quantizer made of the same
checkpoint.

Its codes, biases and scales are read out of a model file (the layout is in
`runtime/model/src/file/mod.rs`), so that the student of step 0 gives the answers of that model.
Layer norms, embeddings and head are the checkpoint's in either.
"""

import json

import torch
from safetensors import SafetensorError, safe_open

from .hf import CheckpointError
from .model import SITES, SOURCES

# `LayerScales::NAMES` of `fqbert_model`.
SCALES = (
    "x8",
    "x16",
    "q",
    "k",
    "v",
    "scores",
    "context",
    "attn8",
    "attn16",
    "gelu_in",
    "mid",
    "y8",
    "y16",
)


def codes(stored, outputs):
    """`[out][in]` of a tensor as stored: bytes, or two channels of 4 bits in one, the even one in
    the low half.
    """
    if stored.dtype == torch.int8:
        return stored
    both = (
        torch.stack((stored & 15, stored >> 4), 1).reshape(outputs, stored.shape[1]).to(torch.int8)
    )
    return torch.where(both > 7, both - 16, both)


@torch.no_grad()
def take(student, path):
    """Sets every matrix and every scale of `student` to those of the model file `path`; the student
    is quantized then.
    """
    try:
        with safe_open(path, "pt") as file:
            fill(student, file, path)
    except (OSError, SafetensorError) as e:
        raise CheckpointError(f"model {path}: {e}") from e


def fill(student, file, path):
    """`take` of an open file."""
    config = json.loads((file.metadata() or {}).get("fqbert.config", "{}"))
    mine = {
        "layers": len(student.layers),
        "heads": student.layers[0].heads,
        "hidden": student.norm_weight.numel(),
    }
    other = [
        f"{k} {config.get(k)} there, {v} in the checkpoint"
        for k, v in mine.items()
        if config.get(k) != v
    ]
    if other:
        raise CheckpointError(f"model {path} is not one of this checkpoint: {'; '.join(other)}")
    for i, layer in enumerate(student.layers):
        scale = dict(zip(SCALES, file.get_tensor(f"layer.{i}.scales").tolist()))
        if i == 0:
            student.input.log_scale.copy_(torch.tensor(scale["x8"]).log())
            student.s16[0] = scale["x16"]
        student.s16[2 * i + 1], student.s16[2 * i + 2] = scale["attn16"], scale["y16"]
        for name in SITES:
            layer.sites[name].log_scale.copy_(torch.tensor(scale[name]).log())
        # Every activation maps zero to zero.
        layer.sites["mid"].zero.fill_(-int(file.get_tensor(f"layer.{i}.gelu_table")[128]))
        for name, matrix in layer.matrices.items():

            def get(what):
                return file.get_tensor(f"layer.{i}.{name}.{what}")

            by_channel, stored = get("weight_scale"), get("weight")
            if (stored.dtype == torch.int8) != (matrix.limit > 7):
                raise CheckpointError(
                    f"model {path}: layer {i}, {name} has not the width of --weight-bits"
                )
            found = codes(stored, len(by_channel))
            if found.shape != matrix.weight.shape:
                raise CheckpointError(
                    f"model {path}: layer {i}, {name} is {list(found.shape)}, "
                    f"not {list(matrix.weight.shape)}"
                )
            matrix.weight.copy_(found.float() * by_channel[:, None])
            # The bias of the second feed-forward matrix gives back what the activation's table
            # takes off its codes.
            zero = int(layer.sites["mid"].zero) if name == "ffn_out" else 0
            steps = get("bias").double() - zero * found.double().sum(1)
            matrix.bias.copy_(steps * (scale[SOURCES[name]] * by_channel))
            matrix.log_scale.copy_(by_channel.log()[:, None])
    student.quantized = True
