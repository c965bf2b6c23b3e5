#!/usr/bin/env python3
"""The NumPy model: docs/numerics.md in numpy, and nothing else.

Every function follows the document's text, none is a translation of the Rust reference, so that
an agreement of the two says something about the document. Needs Python 3.9 and numpy.

    cd accelerator/numerics/numpy_model
    python3 numpy_model.py --check   # recompute every golden output from its inputs, compare
    python3 numpy_model.py --write   # new inputs from the seed, outputs by the NumPy model
"""

import argparse
import json
import math
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).resolve().parent.parent / "golden"


# Notation
# ------------------------------------------------------------------------------------------------


def sat(bits, v):
    top = 2 ** (bits - 1) - 1
    return np.clip(v, -top, top)


def sat27(v):
    return np.clip(v, -(2**26), 2**26 - 1)


def rshift(v, s):
    return (v + (np.int64(1) << (np.asarray(s, dtype=np.int64) - 1))) >> s


def bitlen(v):
    return int(v).bit_length()


def legal_shift(s):
    """Section 3: low 6 bits, 0 as 1 and 41..63 as 40."""
    return np.clip(np.asarray(s, dtype=np.int64) & 63, 1, 40)


def i64(v):
    return np.asarray(v, dtype=np.int64)


# Sections 2 and 3
# ----------------------------------------------------------------------------------------------


def dot(a, w):
    """[t][k] by [n][k] to [t][n]."""
    acc = i64(a) @ i64(w).T
    assert np.all(np.abs(acc) < 2**27)
    return acc


def packed_codes(byte):
    """The two codes of a stored byte in 8x4 mode: low nibble, high nibble, the pair that wraps."""
    byte = i64(byte)
    low = ((byte & 15) ^ 8) - 8
    high = ((byte >> 4) ^ 8) - 8
    return low, np.where((byte >= 0x88) & (byte <= 0x8F), 8, high)


def requant(bits, acc, b, m, s):
    v = sat27(i64(acc) + i64(b))
    return sat(bits, rshift(v * i64(m), legal_shift(s)))


def from_factor(factor, bits=16):
    """(m, s) of a factor, m with so many significant bits; None where it does not fit."""
    drop = 16 - bits
    s = 40 if factor == 0 else min(40, 15 - (math.frexp(factor)[1] - 1))
    m = round(math.ldexp(factor, s - drop)) << drop
    if m == 2**16:
        m, s = 2**15, s - 1
    return None if s < 1 else (m, s)


# Sections 4 and 5
# ----------------------------------------------------------------------------------------------


def gelu_table(kind, s_in, s_out, zero=0):
    def f(v):
        if kind == "gelu_erf":
            return v * 0.5 * (1 + math.erf(v / math.sqrt(2)))
        if kind == "gelu_tanh":
            return v * 0.5 * (1 + math.tanh(math.sqrt(2 / math.pi) * (v + 0.044715 * v**3)))
        return max(v, 0.0)

    return [int(sat(8, round(f((i - 128) * s_in) / s_out) - zero)) for i in range(256)]


def exp_table(s):
    return [round(65535 * math.exp(-i * s)) for i in range(256)]


def softmax_row(x, lo, hi, table):
    p = np.zeros(len(x), dtype=np.int64)
    hi = min(hi, len(x))
    if lo >= hi:
        return p
    x, table = i64(x)[lo:hi], i64(table)
    e = table[x.max() - x]
    total = int(e.sum())
    r = min(2**17 - 1, (255 * 2**24) // total) if total else 0
    p[lo:hi] = (e * r + 2**23) >> 24
    assert p.min() >= 0 and p.max() <= 255
    return p


# Sections 6 and 7
# ----------------------------------------------------------------------------------------------


def residual_add(a, b):
    return sat(16, i64(a) + i64(b))


B = {i: min(65535, round(2**23 / math.sqrt(256 * i))) for i in range(64, 256)}
D = {i: B[i] - round(2**23 / math.sqrt(256 * (i + 1))) for i in range(64, 256)}


def rsqrt(v):
    v = max(int(v), 1)
    k = -((16 - bitlen(v)) // 2)  # the ceiling of (bitlen - 16) / 2
    f = v >> (2 * k) if k >= 0 else v << (-2 * k)
    assert 2**14 <= f < 2**16
    i, d = f >> 8, f & 255
    return B[i] - ((D[i] * d + 128) >> 8), k


def wrap48(v):
    return (int(v) + 2**47) % 2**48 - 2**47


def row_statistics(x, inv, q, eps):
    n, x = len(x), i64(x)
    total, squares = int(x.sum()), int((x * x).sum())
    v = n * squares - total * total + eps
    q = int(legal_shift(q))
    mu = int(sat(20, wrap48(total * (inv & (2**21 - 1)) + 2 ** (q - 1)) >> q))
    r, k = rsqrt(v)
    bl = bitlen(n)
    return {"v": v, "mu": mu, "rho": int(rshift(n * r, bl)), "sh": max(1, 16 + k - bl)}


def layernorm_row(x, p):
    row = row_statistics(x, p["inv"], p["q"], p["eps"])
    c = 16 * i64(x) - row["mu"]
    z = np.clip(rshift(c * row["rho"], row["sh"]), -(2**17 - 1), 2**17 - 1)
    h = sat27(z * i64(p["gamma"]) + i64(p["beta"]))
    y16 = sat(16, rshift(h * p["m16"], legal_shift(p["s16"])))
    y8 = sat(8, rshift(y16 * p["m8"], legal_shift(p["s8"])))
    return row, y16, y8


def layernorm_parameters(gamma, beta, eps, s_in, s_res, s_y8):
    n = len(gamma)
    s_gamma = max(max(abs(g) for g in gamma) / 127, max(abs(b) for b in beta) * 2.0**-14) or 1.0
    q = math.ceil(math.log2(n)) + 16
    m16, s16 = from_factor(s_gamma * 2.0**-11 / s_res)
    m8, s8 = from_factor(s_res / s_y8)
    return {
        "gamma": [round(g / s_gamma) for g in gamma],
        "beta": [round(b * 2**11 / s_gamma) for b in beta],
        "inv": round(2 ** (q + 4) / n),
        "q": q,
        "eps": min(2**32 - 1, max(1, round(eps * n**2 / s_in**2))),
        "m16": m16,
        "s16": s16,
        "m8": m8,
        "s8": s8,
    }


# Section 8
# ------------------------------------------------------------------------------------------------


def host(bits, v, scale):
    return sat(bits, np.rint(np.float32(v) / np.float32(scale))).astype(np.int64)


# Golden cases: inputs to outputs
# -------------------------------------------------------------------------------


def cyclic(values, *shape):
    """Input arrays shorter than their shape repeat (the files stay small)."""
    return np.resize(i64(values), shape)


def case_requant(c):
    args = (c["acc"], c["bias"], c["multiplier"], c["shift"])
    return {"y8": requant(8, *args), "y16": requant(16, *args)}


def case_factor(c):
    wide = [from_factor(f) for f in c["factor"]]
    narrow = [from_factor(f, 8) for f in c["factor"]]
    return {
        "wide": [list(x) if x else None for x in wide],
        "narrow": [list(x) if x else None for x in narrow],
    }


def case_linear(c):
    t, k, n = c["rows"], c["k"], c["n"]
    acc = dot(cyclic(c["a"], t, k), cyclic(c["w"], n, k))
    params = (c["bias"], c["multiplier"], c["shift"])
    return {"acc": acc, "y8": requant(8, acc, *params), "y16": requant(16, acc, *params)}


def case_packed(c):
    low, high = packed_codes(c["bytes"])
    return {"low": i64(c["a"]) @ low, "high": i64(c["a"]) @ high}


def case_attention(c):
    t, n, d = c["rows"], c["keys"], c["head_dim"]
    x = requant(8, dot(cyclic(c["q"], t, d), cyclic(c["k"], n, d)), *c["score_requant"])
    table = exp_table(c["s_s"])
    p = np.array([softmax_row(row, lo, hi, table) for row, (lo, hi) in zip(x, c["ranges"])])
    y = requant(8, dot(p, cyclic(c["v"], n, d).T), *c["context_requant"])
    return {"scores": x, "table": table, "p": p, "context": y}


def case_softmax(c):
    return {"p": softmax_row(c["x"], *c["range"], cyclic(c["table"], 256))}


def case_gelu(c):
    return {"table": gelu_table(c["activation"], c["s_in"], c["s_out"])}


def case_residual(c):
    return {"x": residual_add(c["a"], c["b"])}


def case_layernorm(c):
    n = c["n"]
    p = dict(c, gamma=cyclic(c["gamma"], n), beta=cyclic(c["beta"], n))
    row, y16, y8 = layernorm_row(cyclic(c["x"], n), p)
    return {**row, "y16": y16, "y8": y8}


def case_layernorm_parameters(c):
    p = layernorm_parameters(c["gamma"], c["beta"], c["eps"], c["s_in"], c["s_res"], c["s_y8"])
    return p


def case_rsqrt(c):
    pairs = [rsqrt(v) for v in c["v"]]
    return {"r": [r for r, _ in pairs], "k": [k for _, k in pairs]}


def case_rsqrt_tables(_):
    return {"base": list(B.values()), "slope": list(D.values())}


def case_host(c):
    return {"x8": host(8, c["v"], c["scale"]), "x16": host(16, c["v"], c["scale"])}


def evaluate(case):
    out = globals()["case_" + case["op"]](case["in"])
    return {
        key: v.tolist() if isinstance(v, (np.ndarray, np.integer)) else v for key, v in out.items()
    }


def text(cases):
    """One line per array: readable, and a diff shows which array changed."""
    lines = []
    for case in cases:
        fields = []
        for part in ("in", "out"):
            inner = ",\n".join(
                f"    {json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}"
                for k, v in case[part].items()
            )
            fields.append(f'   "{part}": {{\n{inner}}}')
        lines.append(
            f'  {{"op": "{case["op"]}", "name": {json.dumps(case["name"])},\n'
            + ",\n".join(fields)
            + "}"
        )
    return "[\n" + ",\n".join(lines) + "\n]\n"


def write():
    import cases

    for name, group in cases.groups().items():
        for case in group:
            case["out"] = evaluate(case)
        fd, temporary = tempfile.mkstemp(dir=GOLDEN, suffix=".tmp")
        with os.fdopen(fd, "w", encoding="ascii") as f:
            f.write(text(group))
        os.chmod(temporary, 0o644)
        os.replace(temporary, GOLDEN / f"{name}.json")
        print(f"{name}.json: {len(group)} cases")


def check():
    bad = total = 0
    files = sorted(GOLDEN.glob("*.json"))
    for path in files:
        for case in json.loads(path.read_text()):
            total += 1
            out = evaluate(case)
            for key in sorted(out.keys() | case["out"].keys()):
                if out.get(key) != case["out"].get(key):
                    bad += 1
                    print(f"{path.name}: {case['op']} {case['name']!r}: {key} differs")
    print(f"{total} cases in {len(files)} files, {bad} outputs differ")
    return 0 if total and not bad else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--check", action="store_true")
    mode.add_argument("--write", action="store_true")
    sys.exit(check() if parser.parse_args().check else write())
