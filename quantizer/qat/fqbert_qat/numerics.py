"""The accelerator's integers in the forward pass, and gradients through them.

Every function gives real values that are codes times a scale, the codes being those of
`docs/numerics.md`. Rounding has the gradient of the identity within the range of the codes and
none outside (straight-through estimator); scales learn as in LSQ (arXiv 1902.08153), but as
logarithms, so that an optimizer's step is a ratio and a scale stays above zero.

Softmax and layer norm are computed in the document's integers to the bit. Linear layers are
computed in f32 on values that are codes times scales: the accelerator's 16-bit multipliers and
this f32 differ by parts in 10^5, which moves a code by one now and then, and never a learned
quantity.
"""

import math

import torch
from torch.autograd import Function

MAX4, MAX8, MAX16 = 7, 127, 32767


class FakeQuant(Function):
    """`clamp(round(x / s)) * s` with `s = exp(log_scale)`; the codes are those within `limit` of
    `zero`.
    """

    @staticmethod
    def forward(ctx, x, log_scale, limit, half_up, zero):
        scale = log_scale.exp()
        v = x / scale
        codes = (v + 0.5).floor_() if half_up else v.round()
        ctx.range = (zero - limit, zero + limit)
        codes.clamp_(*ctx.range)
        ctx.save_for_backward(v, codes, scale)
        return codes * scale

    @staticmethod
    def backward(ctx, g):
        v, codes, scale = ctx.saved_tensors
        low, high = ctx.range
        inside = (v >= low) & (v <= high)
        grad_scale = None
        if ctx.needs_input_grad[1]:
            # d(codes * s) / ds is codes - v where the rounding follows x, the end of the range
            # where it does not.
            d = torch.where(inside, codes - v, codes).mul_(g)
            grad_scale = d.sum_to_size(scale.shape) * scale
        return g * inside, grad_scale, None, None, None


def fake_quant(x, log_scale, limit, half_up=True, zero=0):
    """`x` on the grid of codes zero-limit..zero+limit, half rounded up (the accelerator) or to even
    (weights, tables and the host).

    `log_scale` has one value, or one for each row `[out, 1]` of a matrix `x` `[out, in]`.
    """
    return FakeQuant.apply(x, log_scale, limit, half_up, zero)


def fixed_quant(x, scale, half_up=True):
    """`x` on the grid of 16-bit codes of a scale that is not learned."""
    v = x.detach() / scale
    codes = (torch.floor(v + 0.5) if half_up else v.round()).clamp_(-MAX16, MAX16)
    return x + (codes * scale - x.detach())


class Softmax(Function):
    """Section 5: probabilities of 8 bits, `[.., keys]`. `mask` is true where a key belongs to the
    sentence.
    """

    @staticmethod
    def forward(ctx, scores, log_scale, mask):
        s = float(log_scale.detach().exp())
        codes = (scores / s).round().to(torch.int64)
        table = exp_table(s, scores.device)
        codes = codes.masked_fill(~mask, -(10**6))
        index = (codes.amax(-1, keepdim=True) - codes).clamp_(max=255)
        e = table[index].masked_fill_(~mask, 0)
        total = e.sum(-1, keepdim=True)
        r = torch.where(total > 0, (255 << 24) // total.clamp(min=1), 0).clamp_(max=2**17 - 1)
        p = (e * r + 2**23) >> 24
        ctx.save_for_backward((e / total.clamp(min=1)).to(scores.dtype))
        return p.to(scores.dtype) / 255

    @staticmethod
    def backward(ctx, g):
        (p,) = ctx.saved_tensors
        return p * (g - (g * p).sum(-1, keepdim=True)), None, None


def exp_table(s, device):
    """`E[i] = round(65535 * exp(-i * s))` of section 5."""
    return (
        (65535 * torch.exp(-s * torch.arange(256, dtype=torch.float64)))
        .round()
        .to(torch.int64)
        .to(device)
    )


def from_factor(factor):
    """Section 3: `(m, s)` of a factor."""
    s = min(40, 15 - (math.frexp(factor)[1] - 1)) if factor > 0 else 40
    m = round(math.ldexp(factor, s))
    if m == 2**16:
        m, s = 2**15, s - 1
    if s < 1:
        raise ValueError(
            f"a factor of {factor} needs a shift of {s}, and the accelerator has 1 to 40: "
            "a scale has collapsed"
        )
    return m, s


def rsqrt_tables():
    """`B` and `D` of section 7; entries below 64 are not used."""
    base = [0] * 64 + [min(65535, round(2**23 / math.sqrt(256 * i))) for i in range(64, 256)]
    slope = [0] * 64 + [base[i] - round(2**23 / math.sqrt(256 * (i + 1))) for i in range(64, 256)]
    return torch.tensor(base), torch.tensor(slope)


RSQRT = rsqrt_tables()


def reciprocal_root(v):
    """Section 7: `(r, k)` with `1 / sqrt(v) = r * 2^(-23 - k)`, of positive 64-bit integers."""
    bits = torch.frexp(v.double())[1].to(torch.int64)
    # Rounded up to a power of two on the way to f64.
    bits = bits - ((v >> (bits - 1)) == 0).to(torch.int64)
    k = -((16 - bits) // 2)
    f = torch.where(k >= 0, v >> (2 * k).clamp(min=0), v << (-2 * k).clamp(min=0))
    i, d = f >> 8, f & 255
    base, slope = (t.to(v.device) for t in RSQRT)
    return base[i] - ((slope[i] * d + 128) >> 8), k


class LayerNorm(Function):
    """Section 7 to its 16-bit output: `x` `[.., N]` is the residual sum on the grid of `s_in`, the
    result is on `s_out`'s.
    """

    @staticmethod
    def forward(ctx, x, gamma, beta, s_in, s_out, eps):
        n = x.shape[-1]
        codes = (x / s_in).round().clamp_(-MAX16, MAX16).to(torch.int64)
        total, squares = codes.sum(-1, keepdim=True), (codes * codes).sum(-1, keepdim=True)
        v = n * squares - total * total + min(2**32 - 1, max(1, round(eps * n**2 / s_in**2)))
        q = (n - 1).bit_length() + 16
        mu = ((total * round(2 ** (q + 4) / n) + 2 ** (q - 1)) >> q).clamp_(-(2**19 - 1), 2**19 - 1)
        r, k = reciprocal_root(v)
        bl = n.bit_length()
        rho = (n * r + 2 ** (bl - 1)) >> bl
        sh = (16 + k - bl).clamp_(min=1)
        # From here on f64 holds every integer exactly, and is faster.
        c = 16.0 * codes.double() - mu.double()
        z = (c * rho.double() / (2.0 ** sh.double()) + 0.5).floor_().clamp_(-(2**17 - 1), 2**17 - 1)
        g64, b64 = gamma.detach().double(), beta.detach().double()
        s_gamma = max(float(g64.abs().max()) / 127, float(b64.abs().max()) * 2.0**-14) or 1.0
        g_codes, b_codes = (g64 / s_gamma).round(), (b64 * 2**11 / s_gamma).round()
        h = (z * g_codes + b_codes).clamp_(-(2**26), 2**26 - 1)
        m, s = from_factor(s_gamma * 2.0**-11 / s_out)
        y = (h * (m * 2.0**-s) + 0.5).floor_().clamp_(-MAX16, MAX16)
        rstd = rho.double() * 2.0 ** (-7 - sh.double()) / s_in
        ctx.save_for_backward((z / 2**11).to(x.dtype), rstd.to(x.dtype), gamma)
        return (y * s_out).to(x.dtype)

    @staticmethod
    def backward(ctx, g):
        z, rstd, gamma = ctx.saved_tensors
        over = tuple(range(g.dim() - 1))
        gz = g * gamma
        gx = rstd * (gz - gz.mean(-1, keepdim=True) - z * (gz * z).mean(-1, keepdim=True))
        return gx, (g * z).sum(over), g.sum(over), None, None, None


def layer_norm(x, gamma, beta, s_in, s_out, eps):
    """`LayerNorm` with scales as plain numbers: those of 16 bits are not learned."""
    return LayerNorm.apply(x, gamma, beta, s_in, s_out, eps)


def best_scale(values, limit):
    """The scale of least squared error for `values` `[rows, n]`, one for each row: `[rows, 1]`.

    Tries clips of 100 % down to a few per cent of the largest magnitude.
    """
    largest = values.abs().amax(1, keepdim=True).clamp(min=1e-8)
    best, least = largest / limit, torch.full_like(largest, math.inf)
    for step in range(48 if limit > MAX4 else 20):
        scale = largest / limit * (0.93**step if limit > MAX4 else 1 - 0.04 * step)
        error = (
            (values - (values / scale).round().clamp(-limit, limit) * scale)
            .square()
            .sum(1, keepdim=True)
        )
        better = error < least
        best, least = torch.where(better, scale, best), torch.where(better, error, least)
    return best


def zero_of(scale, least):
    """Section 4: what an activation's table takes off its codes so that `least`, zero or less, is
    just held.
    """
    return int(min(max(MAX8 - math.ceil(-least / scale), 0), MAX8))


def best_scale_above(values, least):
    """The scale of least squared error for all of `values` in codes that start at `least`, and what
    is taken off the codes.
    """
    widest = max(float(values.max()) - least, 1e-8) / (2 * MAX8)
    best, least_error = widest, math.inf
    for step in range(48):
        scale = widest * 0.93**step
        zero = zero_of(scale, least)
        codes = (values / scale).round().clamp(zero - MAX8, zero + MAX8)
        error = float((values - codes * scale).square().sum())
        if error < least_error:
            best, least_error = scale, error
    return best, zero_of(best, least)
