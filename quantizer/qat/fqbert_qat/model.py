"""BERT for sequence classification, in float (the teacher) or with the accelerator's integers in
its forward pass.

One class is both, so that the two can differ in nothing but what quantization does. The names of
matrices and sites are those of `fqbert_model` (`Linear::name`, `LayerScales::NAMES`).
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from . import numerics
from .hf import ACTIVATIONS
from .numerics import MAX8, fake_quant, fixed_quant

# Matrices of a layer in order of execution, and their tensors' names.
MATRICES = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "o": "attention.output.dense",
    "ffn_in": "intermediate.dense",
    "ffn_out": "output.dense",
}
# The site that a matrix takes its input from.
SOURCES = {"q": "x8", "k": "x8", "v": "x8", "o": "context", "ffn_in": "attn8", "ffn_out": "mid"}
NORMS = {"attn": "attention.output.LayerNorm", "out": "output.LayerNorm"}
# Sites of 8 bits that a layer makes; its input's scale is the one of the layer before.
SITES = ("q", "k", "v", "scores", "context", "attn8", "gelu_in", "mid", "y8")
# Room above the largest 16-bit value seen in calibration: one bit of sixteen.
HEADROOM = 2.0


class Site(nn.Module):
    """An activation of 8 bits with one learned scale."""

    def __init__(self, half_up=True, by_channel=False):
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.half_up, self.by_channel = half_up, by_channel
        # What is taken off the codes, a whole number: for the activation's table, whose values are
        # hardly ever negative.
        self.register_buffer("zero", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        return fake_quant(x, self.log_scale, MAX8, self.half_up, int(self.zero))

    def scale(self):
        """The scale as it is exported, in f32."""
        return float(self.log_scale.detach().exp())


class Matrix(nn.Module):
    """A linear layer with one learned weight scale for each output channel."""

    def __init__(self, weight, bias, limit):
        super().__init__()
        self.weight, self.bias, self.limit = (
            nn.Parameter(weight.clone()),
            nn.Parameter(bias.clone()),
            limit,
        )
        self.log_scale = nn.Parameter(numerics.best_scale(weight, limit).log())

    def forward(self, x, site):
        """`site` is the one that `x` comes from; `None` in float."""
        if site is None:
            return F.linear(x, self.weight, self.bias)
        w = fake_quant(self.weight, self.log_scale, self.limit, False)
        # Biases are whole steps of the accumulator.
        step = (site.log_scale.detach() + self.log_scale.detach()[:, 0]).exp()
        b = self.bias + ((self.bias.detach() / step).round() * step - self.bias.detach())
        return F.linear(x, w, b)


class Norm(nn.Module):
    """Layer norm of the residual sum; its scales are of 16 bits and not learned."""

    def __init__(self, gamma, beta, eps):
        super().__init__()
        self.gamma, self.beta, self.eps = (
            nn.Parameter(gamma.clone()),
            nn.Parameter(beta.clone()),
            eps,
        )

    def forward(self, x, scales):
        if scales is None:
            return F.layer_norm(x, x.shape[-1:], self.gamma, self.beta, self.eps)
        return numerics.layer_norm(x, self.gamma, self.beta, *scales, self.eps)


class Layer(nn.Module):
    """One encoder layer."""

    def __init__(self, checkpoint, index, limit):
        super().__init__()
        config, prefix = checkpoint.config, f"bert.encoder.layer.{index}."
        self.heads = config["num_attention_heads"]
        self.approximate = ACTIVATIONS[config.get("hidden_act", "gelu")]
        eps = config.get("layer_norm_eps", 1e-12)

        def pair(name):
            return checkpoint.float(f"{prefix}{name}.weight"), checkpoint.float(
                f"{prefix}{name}.bias"
            )

        self.matrices = nn.ModuleDict(
            {m: Matrix(*pair(name), limit) for m, name in MATRICES.items()}
        )
        self.norms = nn.ModuleDict({n: Norm(*pair(name), eps) for n, name in NORMS.items()})
        # The table of section 4 is rounded half to even.
        self.sites = nn.ModuleDict(
            {s: Site(half_up=s != "mid", by_channel=s in "qkv") for s in SITES}
        )

    def activation(self, x):
        return F.relu(x) if self.approximate is None else F.gelu(x, approximate=self.approximate)

    def least(self):
        """No value of the activation is below this."""
        return float(self.activation(torch.linspace(-3, 0, 3001)).min())

    def forward(self, run, x8, x16, mask, s16, source):
        """`x8`, `x16` `[batch, tokens, hidden]`; `mask` `[batch, 1, 1, tokens]`; `s16` scales of
        input, middle and output; `source` the site that `x8` comes from.
        """

        def at(name, v):
            return run.at(self, name, v)

        def linear(name, v, site):
            return self.matrices[name](v, site if run.quantized else None)

        def split(name):
            return (
                at(name, linear(name, x8, source))
                .view(batch, tokens, self.heads, -1)
                .transpose(1, 2)
            )

        batch, tokens, hidden = x8.shape
        sites = self.sites

        q, k, v = split("q"), split("k"), split("v")
        scores = at("scores", q @ k.transpose(2, 3) / math.sqrt(hidden // self.heads))
        probabilities = run.softmax(self, scores, mask)
        context = at("context", (probabilities @ v).transpose(1, 2).reshape(batch, tokens, hidden))
        attn16 = run.add_norm(
            self.norms["attn"], x16, linear("o", context, sites["context"]), s16[0], s16[1]
        )
        attn8 = at("attn8", attn16)
        mid = at("mid", self.activation(at("gelu_in", linear("ffn_in", attn8, sites["attn8"]))))
        y16 = run.add_norm(
            self.norms["out"], attn16, linear("ffn_out", mid, sites["mid"]), s16[1], s16[2]
        )
        return at("y8", y16), y16


class Bert(nn.Module):
    """The whole classifier. The embeddings are buffers: they run on the host in f32 and are not
    trained.
    """

    def __init__(self, checkpoint, limit=numerics.MAX4):
        super().__init__()
        config, get = checkpoint.config, checkpoint.float
        self.eps = config.get("layer_norm_eps", 1e-12)
        for name in ("word_embeddings", "position_embeddings", "token_type_embeddings"):
            self.register_buffer(name, get(f"bert.embeddings.{name}.weight"), persistent=False)
        for name in ("weight", "bias"):
            self.register_buffer(
                f"norm_{name}", get(f"bert.embeddings.LayerNorm.{name}"), persistent=False
            )
        self.layers = nn.ModuleList(
            Layer(checkpoint, i, limit) for i in range(config["num_hidden_layers"])
        )
        self.input = Site(half_up=False)
        # Of the residual stream: `[2 * layers + 1]`, a layer's input, its middle, the next one's
        # input and so on.
        self.register_buffer("s16", torch.ones(2 * len(self.layers) + 1, dtype=torch.float32))
        for name, source in (("pooler", "bert.pooler.dense"), ("classifier", "classifier")):
            weight, bias = get(f"{source}.weight"), get(f"{source}.bias")
            linear = nn.Linear(weight.shape[1], weight.shape[0])
            linear.weight, linear.bias = nn.Parameter(weight), nn.Parameter(bias)
            setattr(self, name, linear)
        self.quantized = False
        self.seen = None

    def embed(self, ids):
        """Token ids `[batch, tokens]` to the encoder's input, in f32."""
        x = (
            self.word_embeddings[ids]
            + self.token_type_embeddings[0]
            + self.position_embeddings[: ids.shape[1]]
        )
        return F.layer_norm(x, x.shape[-1:], self.norm_weight, self.norm_bias, self.eps)

    def at(self, layer, name, x):
        """A site: its codes where the model is quantized, a look at its values where watched."""
        if self.quantized:
            return layer.sites[name](x)
        if self.seen is not None:
            self.seen.add(layer.sites[name], x)
        return x

    def softmax(self, layer, scores, mask):
        if self.quantized:
            return numerics.Softmax.apply(scores, layer.sites["scores"].log_scale, mask)
        return scores.masked_fill(~mask, -1e9).softmax(-1)

    def add_norm(self, norm, x, branch, s_in, s_out):
        if not self.quantized:
            if self.seen is not None:
                self.seen.add16(norm, x, x + branch)
            return norm(x + branch, None)
        return norm(x + fixed_quant(branch, s_in), (s_in, s_out))

    def forward(self, ids, mask, embedded=None):
        """Logits `[batch, labels]` and the output of every layer `[batch, tokens, hidden]`.

        `mask` `[batch, tokens]` is true at tokens; `embedded` is `embed(ids)` where it is there
        already.
        """
        x = self.embed(ids) if embedded is None else embedded
        keys, s16 = mask[:, None, None, :], self.s16.tolist()
        x8 = x16 = x
        if self.quantized:
            x8 = self.input(x)
            x16 = fixed_quant(x, s16[0], half_up=False)
        elif self.seen is not None:
            self.seen.add(self.input, x)
        hidden = []
        source = self.input
        for i, layer in enumerate(self.layers):
            x8, x16 = layer(self, x8, x16, keys, s16[2 * i : 2 * i + 3], source)
            source = layer.sites["y8"]
            hidden.append(x16)
        pooled = torch.tanh(self.pooler(x16[:, 0]))
        return self.classifier(pooled), hidden
