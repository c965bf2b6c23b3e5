"""An export in the accelerator's integers, in numpy: what its model must answer, computed without
PyTorch and without Rust.

The operations are the NumPy model's, written from docs/numerics.md alone; this file only chains
them and makes the parameters from the export's scales.
"""

import json
import math
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from . import numpy_model
from .export import SCALES
from .hf import CheckpointError
from .model import MATRICES, NORMS

LIMITS = {4: 7, 8: 127}
GELU = {
    "gelu": "gelu_erf",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
}


def dot(a, w):
    """`[t][k]` by `[n][k]`: exact, since every sum is below 2^53."""
    return np.rint(a.astype(np.float64) @ w.astype(np.float64).T).astype(np.int64)


class Linear:
    """Codes, biases, multipliers and shifts of a matrix."""

    def __init__(self, weight, bias, scales, bits, s_in, s_out, zero):
        s = scales.astype(np.float64)
        codes = np.rint(weight.astype(np.float64) / s[:, None])
        self.codes = np.clip(codes, -LIMITS[bits], LIMITS[bits]).astype(np.int64)
        step = s_in * s
        self.bias = np.rint(bias.astype(np.float64) / step).astype(
            np.int64
        ) + zero * self.codes.sum(1)
        params = [numpy_model.from_factor(float(f)) for f in step / s_out]
        if None in params:
            raise CheckpointError("a factor is too large for the requantization")
        self.m, self.s = (np.array(p, dtype=np.int64) for p in zip(*params))

    def __call__(self, bits, x):
        return numpy_model.requant(bits, dot(x, self.codes), self.bias, self.m, self.s)


class Layer:
    """One encoder layer in integers."""

    def __init__(self, config, tensors, index, record):
        prefix = f"bert.encoder.layer.{index}."
        a = {k: float(np.float32(v)) for k, v in record["activations"].items()}
        self.heads, hidden = config["num_attention_heads"], config["hidden_size"]
        ends = {
            "q": ("x8", "q"),
            "k": ("x8", "k"),
            "v": ("x8", "v"),
            "o": ("context", "x16"),
            "ffn_in": ("attn8", "gelu_in"),
            "ffn_out": ("mid", "attn16"),
        }
        zero = record.get("mid_zero", 0)
        self.linear = {}
        for name, (s_in, s_out) in ends.items():
            w = record["weights"][name]
            tensor = f"{prefix}{MATRICES[name]}"
            scales = np.array(w["scales"], dtype=np.float32)
            parts = tensors[f"{tensor}.weight"], tensors[f"{tensor}.bias"]
            self.linear[name] = Linear(
                *parts, scales, w["bits"], a[s_in], a[s_out], zero if name == "ffn_out" else 0
            )
        root = math.sqrt(hidden // self.heads)
        self.scores = numpy_model.from_factor(a["q"] * a["k"] / root / a["scores"])
        self.context = numpy_model.from_factor(a["v"] / 255.0 / a["context"])
        self.exp = numpy_model.exp_table(a["scores"])
        self.gelu = np.array(
            numpy_model.gelu_table(
                GELU[config.get("hidden_act", "gelu")], a["gelu_in"], a["mid"], zero
            )
        )
        eps = float(np.float32(config.get("layer_norm_eps", 1e-12)))
        self.norms = {}
        for name, scales in (
            ("attn", ("x16", "attn16", "attn8")),
            ("out", ("attn16", "y16", "y8")),
        ):
            gamma, beta = (
                tensors[f"{prefix}{NORMS[name]}.{part}"].astype(np.float64).tolist()
                for part in ("weight", "bias")
            )
            self.norms[name] = numpy_model.layernorm_parameters(
                gamma, beta, eps, *(a[s] for s in scales)
            )
        self.scales = a

    def add_norm(self, name, x, branch):
        rows = [
            numpy_model.layernorm_row(row, self.norms[name])
            for row in numpy_model.residual_add(x, branch)
        ]
        return np.array([r[1] for r in rows]), np.array([r[2] for r in rows])

    def __call__(self, x8, x16):
        tokens = len(x8)
        q, k, v = (self.linear[name](8, x8).reshape(tokens, self.heads, -1) for name in "qkv")
        context = []
        for head in range(self.heads):
            scores = numpy_model.requant(8, dot(q[:, head], k[:, head]), 0, *self.scores)
            p = np.array([numpy_model.softmax_row(row, 0, tokens, self.exp) for row in scores])
            context.append(numpy_model.requant(8, dot(p, v[:, head].T), 0, *self.context))
        attn16, attn8 = self.add_norm(
            "attn", x16, self.linear["o"](16, np.concatenate(context, axis=1))
        )
        mid = self.gelu[self.linear["ffn_in"](8, attn8) + 128]
        return self.add_norm("out", attn16, self.linear["ffn_out"](16, mid))


class Model:
    """Embeddings and head in f32 on the host, the encoder in integers."""

    def __init__(self, config, tensors, document):
        self.config, self.tensors = config, tensors
        self.layers = [
            Layer(config, tensors, i, record) for i, record in enumerate(document["layers"])
        ]

    @classmethod
    def load(cls, folder):
        """Reads an export."""
        folder = Path(folder)
        document = json.loads((folder / SCALES).read_text(encoding="utf-8"))
        if document.get("format") != "fqbert-scales" or document.get("version") != 1:
            raise CheckpointError(f"{folder / SCALES} is not version 1 of fqbert-scales")
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return cls(config, load_file(folder / "model.safetensors"), document)

    def embed(self, ids):
        """`[tokens][hidden]` in f32, every sum in the order of the runtime's, for the last digit
        counts in 16 bits.
        """

        def table(name):
            return self.tensors[f"bert.embeddings.{name}_embeddings.weight"].astype(np.float32)

        x = table("word")[ids] + table("token_type")[0] + table("position")[: len(ids)]
        n, f32 = np.float32(x.shape[1]), np.float32
        mean = np.add.accumulate(x, axis=1, dtype=f32)[:, -1:] / n
        centred = x - mean
        variance = np.add.accumulate(centred * centred, axis=1, dtype=f32)[:, -1:] / n
        scale = f32(1) / np.sqrt(variance + f32(self.config.get("layer_norm_eps", 1e-12)))
        gamma, beta = (
            self.tensors[f"bert.embeddings.LayerNorm.{p}"].astype(f32) for p in ("weight", "bias")
        )
        return centred * scale * gamma + beta

    def encode(self, ids):
        """The last layer's 16-bit output, `[tokens][hidden]`."""
        x, first = self.embed(ids), self.layers[0].scales
        x8, x16 = numpy_model.host(8, x, first["x8"]), numpy_model.host(16, x, first["x16"])
        for layer in self.layers:
            x16, x8 = layer(x8, x16)
        return x16

    def logits(self, y16):
        """The head on the first token."""
        f32 = np.float32
        x = y16[0].astype(f32) * f32(self.layers[-1].scales["y16"])
        pooled = np.tanh(
            self.tensors["bert.pooler.dense.weight"].astype(f32) @ x
            + self.tensors["bert.pooler.dense.bias"].astype(f32)
        )
        return self.tensors["classifier.weight"].astype(f32) @ pooled + self.tensors[
            "classifier.bias"
        ].astype(f32)


def record(model, sentences, texts):
    """Token ids, 16-bit encoder outputs and logits, for `quantizer/tests/learned.rs`."""
    out = []
    for ids, text in zip(sentences, texts):
        y16 = model.encode(ids)
        out.append(
            {
                "text": text,
                "ids": [int(i) for i in ids],
                "y16": y16.reshape(-1).tolist(),
                "logits": [float(v) for v in model.logits(y16)],
            }
        )
    return {"sentences": out}
