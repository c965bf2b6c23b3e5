"""A trained student as a Hugging Face folder with learned scales, which `fqbert quantize` takes as
it is.
"""

import json

import numpy as np
import torch

from .hf import Checkpoint
from .model import MATRICES, NORMS, SOURCES
from .numerics import MAX4

SCALES = "fqbert-scales.json"
# Biases are kept below this many steps by raising the channel's weight scale, as in the
# post-training quantizer: half of what the requantization holds (docs/numerics.md, section 3).
BIAS_ROOM = float(1 << 25)


def shortest(value):
    """The shortest decimal that reads back as the same f32."""
    return float(str(np.float32(value)))


@torch.no_grad()
def scales(student, about):
    """The document of `fqbert-scales.json`: every scale of every layer."""
    layers = []
    x8, s16 = student.input.scale(), student.s16.tolist()
    for i, layer in enumerate(student.layers):
        site = {name: s.scale() for name, s in layer.sites.items()}
        activations = {
            "x8": x8,
            "x16": s16[2 * i],
            **site,
            "attn16": s16[2 * i + 1],
            "y16": s16[2 * i + 2],
        }
        matrices = {}
        for name, m in layer.matrices.items():
            room = m.bias.abs() / (activations[SOURCES[name]] * BIAS_ROOM)
            by_channel = torch.maximum(m.log_scale.exp()[:, 0], room)
            matrices[name] = {
                "bits": 4 if m.limit == MAX4 else 8,
                "scales": [shortest(s) for s in by_channel.tolist()],
            }
        zero = int(layer.sites["mid"].zero)
        layers.append(
            {
                "activations": {k: shortest(v) for k, v in activations.items()},
                "mid_zero": zero,
                "weights": matrices,
            }
        )
        x8 = site["y8"]
    return {"format": "fqbert-scales", "version": 1, "about": about, "layers": layers}


@torch.no_grad()
def write(student, teacher, tokenizer_from, folder, settings):
    """Writes the folder: the teacher's configuration and embeddings, trained tensors, tokenizer
    files, scales.

    Weights are written as codes times scales, so that the folder is also the float model that
    the student stands for.
    """
    about = (
        f"quantization-aware training, {settings.steps} steps of {settings.batch} sentences, "
        f"seed {settings.seed}"
    )
    document = scales(student, about)
    tensors = {k: v for k, v in teacher.tensors.items() if k.startswith("bert.embeddings.")}
    for i, layer in enumerate(student.layers):
        prefix = f"bert.encoder.layer.{i}."
        for name, m in layer.matrices.items():
            s = torch.tensor(
                document["layers"][i]["weights"][name]["scales"],
                dtype=torch.float32,
                device=m.weight.device,
            )[:, None]
            tensors[f"{prefix}{MATRICES[name]}.weight"] = (m.weight / s).round().clamp(
                -m.limit, m.limit
            ) * s
            tensors[f"{prefix}{MATRICES[name]}.bias"] = m.bias
        for name, n in layer.norms.items():
            tensors[f"{prefix}{NORMS[name]}.weight"], tensors[f"{prefix}{NORMS[name]}.bias"] = (
                n.gamma,
                n.beta,
            )
    for name, linear in (("bert.pooler.dense", student.pooler), ("classifier", student.classifier)):
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = linear.weight, linear.bias
    config = dict(teacher.config, torch_dtype="float32")
    Checkpoint(config, {k: v.detach().cpu() for k, v in tensors.items()}).save(
        folder, tokenizer_from
    )
    (folder / SCALES).write_text(
        json.dumps(document, separators=(",", ":")) + "\n", encoding="utf-8"
    )
