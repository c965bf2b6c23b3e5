"""Where training starts: channels evened out, scales of least squared error on some sentences."""

import math

import torch

from . import numerics
from .data import collate
from .model import HEADROOM
from .numerics import MAX8, MAX16

# Values of a site that its scale is chosen by.
VALUES = 1 << 17
# Values that a site gives in one batch.
PER_BATCH = 1 << 13
# As in the post-training quantizer (quantizer/src/equalize.rs).
LARGEST, VALUE_SHARE = 16.0, 0.5


class Seen:
    """What passed the sites of a float run."""

    def __init__(self, seed):
        self.generator = torch.Generator().manual_seed(seed)
        self.values, self.largest, self.squares = {}, {}, {}

    def add(self, site, x):
        """Some of an 8-bit site's values, and each channel's squares where they are asked for."""
        flat = x.detach().reshape(-1)
        if flat.numel() > PER_BATCH:
            flat = flat[
                torch.randint(flat.numel(), (PER_BATCH,), generator=self.generator).to(flat.device)
            ]
        self.values.setdefault(site, []).append(flat)
        if site.by_channel:
            self.squares[site] = self.squares.get(site, 0.0) + x.detach().reshape(
                -1, x.shape[-1]
            ).square().sum(0)

    def add16(self, norm, stream, total):
        """The largest magnitude of the stream and the sum that a norm takes."""
        largest = max(float(stream.detach().abs().max()), float(total.detach().abs().max()))
        self.largest[norm] = max(self.largest.get(norm, 0.0), largest)


@torch.no_grad()
def watch(model, sentences, pad, seed, device):
    """Runs the float model on sentences, those of one length together: no padding is seen."""
    seen = Seen(seed)
    model.quantized, model.seen = False, seen
    by_length = {}
    for s in sentences:
        by_length.setdefault(len(s), []).append(s)
    last = 0.0
    for length in sorted(by_length):
        ids, mask = collate(by_length[length], pad, device)
        _, hidden = model(ids, mask)
        last = max(last, float(hidden[-1].abs().max()))
    model.seen = None
    return seen, last


def bounded(t):
    return torch.where(torch.isfinite(t) & (t > 0), t, 1.0).clamp(1 / LARGEST, LARGEST)


@torch.no_grad()
def equalize(model, seen):
    """Evens out channels that share an activation scale, where the float model does not notice.

    A query channel times t and its key channel divided by t leave the scores as they are; a
    value channel times u and the output projection's column divided by u leave the branch.
    """
    for layer in model.layers:
        q, k, v, o = (layer.matrices[m] for m in "qkvo")
        of_q, of_k, of_v = (seen.squares[layer.sites[s]].sqrt() for s in "qkv")
        keys = bounded((of_q / of_k).sqrt())
        values = bounded((of_v.square().mean().sqrt() / of_v) ** VALUE_SHARE)
        for matrix, factor in ((q, 1 / keys), (k, keys), (v, values)):
            matrix.weight *= factor[:, None]
            matrix.bias *= factor
        o.weight /= values
        for matrix in (q, k, v, o):
            matrix.log_scale.copy_(numerics.best_scale(matrix.weight, matrix.limit).log())


@torch.no_grad()
def calibrate(model, sentences, pad, seed, device):
    """Equalizes the float model `model` and sets every scale; the model is quantized afterwards."""
    seen, _ = watch(model, sentences, pad, seed, device)
    equalize(model, seen)
    seen, last = watch(model, sentences, pad, seed, device)
    for site, values in seen.values.items():
        values = torch.cat(values)[:VALUES].reshape(1, -1)
        site.log_scale.copy_(numerics.best_scale(values, MAX8).log().reshape(()))
    for layer in model.layers:
        site = layer.sites["mid"]
        values = torch.cat(seen.values[site])[:VALUES]
        scale, zero = numerics.best_scale_above(values, layer.least())
        site.log_scale.fill_(math.log(scale))
        site.zero.fill_(zero)
    sums = [seen.largest[layer.norms[n]] for layer in model.layers for n in ("attn", "out")] + [
        last
    ]
    for i, largest in enumerate(sums):
        # eps * N^2 / s^2 is a parameter of 32 bits (docs/numerics.md, section 7).
        floor = (model.eps / 2**31) ** 0.5 * model.norm_weight.numel()
        model.s16[i] = max(HEADROOM * (largest or 1.0) / MAX16, floor)
    model.quantized = True
