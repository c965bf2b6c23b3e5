"""Inputs of the golden vectors, from one seed. The outputs are the NumPy model's.

Only Random.random() is drawn from: its sequence is fixed for a seed in every version of Python.
"""

import math
import random

SEED = 20210301


class Source:
    def __init__(self, seed):
        self.random = random.Random(seed).random

    def ints(self, n, lo, hi):
        return [lo + int(self.random() * (hi - lo + 1)) for _ in range(n)]

    def one(self, lo, hi):
        return self.ints(1, lo, hi)[0]

    def normal(self, n, deviation, limit, mean=0.0):
        """Bell-shaped integers (a sum of twelve), cut to +-limit."""
        draw = lambda: (sum(self.random() for _ in range(12)) - 6) * deviation + mean
        return [max(-limit, min(limit, round(draw()))) for _ in range(n)]

    def grid(self, n, lo, hi, step=1024):
        """Floats that f32 and a short decimal both hold exactly."""
        return [v / step for v in self.ints(n, int(lo * step), int(hi * step))]


def case(op, name, **inputs):
    return {"op": op, "name": name, "in": inputs}


def groups():
    return {
        "requant": requant_cases(),
        "linear": linear_cases(),
        "attention": attention_cases(),
        "layernorm": layernorm_cases(),
        "tables": table_cases(),
    }


def requant_cases():
    s = Source(SEED)
    shifts = [1, 2, 15, 16, 26, 27, 39, 40]
    illegal = [0, 41, 63, 64, 65, 104, 105, 127, 128, 200, 255]
    multipliers = [0, 1, 32767, 32768, 65535]
    edge = [0, 1, -1, 3, -3, 2**26 - 1, 2**26, -(2**26), -(2**26) - 1, 2**31 - 1, -(2**31)]

    def columns(name, rows):
        acc, bias, multiplier, shift = (list(c) for c in zip(*rows))
        return case("requant", name, acc=acc, bias=bias, multiplier=multiplier, shift=shift)

    i32 = lambda: s.one(-(2**31), 2**31 - 1)
    ties = [((2 * j + 1), 0, 32768, 16) for j in range(-6, 6)]
    real = [
        (s.normal(1, 40000, 2**22)[0], s.one(-20000, 20000), s.one(2**15, 2**16 - 1), s.one(22, 27))
        for _ in range(200)
    ]
    factors = [
        0.0,
        1.0,
        0.5,
        2.0**-25,
        2.0**-26,
        2.0**-40,
        2.0**-41,
        3.0 * 2.0**-42,
        32767.5,
        32767.75,
        32640.0,
        32704.0,
        32768.0,
        1e6,
        0.99999999,
        0.999,
        1e-300,
    ]
    factors += [float(f"{math.exp(s.random() * 20 - 14):.12g}") for _ in range(60)]
    return [
        columns(
            "every corner shift and multiplier at the edges of the 27-bit port",
            [(a, 0, m, sh) for sh in shifts for m in multipliers for a in edge],
        ),
        columns(
            "illegal shifts", [(a, 0, m, sh) for sh in illegal for m in (1, 65535) for a in edge]
        ),
        columns(
            "bias edges",
            [(a, b, 65535, 27) for a in edge for b in (2**31 - 1, -(2**31), 2**26, -(2**26), 1)],
        ),
        columns("ties", ties),
        columns("as a quantizer makes them", real),
        columns("any record", [(i32(), i32(), s.one(0, 65535), s.one(0, 255)) for _ in range(200)]),
        case(
            "factor", "factors to multiplier and shift, 16 and 8 significant bits", factor=factors
        ),
    ]


def linear_cases():
    s = Source(SEED + 1)
    out = []

    def linear(name, rows, k, n, a, w, factor_bits, uniform=False):
        m = 1 if uniform else n
        out.append(
            case(
                "linear",
                name,
                rows=rows,
                k=k,
                n=n,
                a=a,
                w=w,
                bias=s.ints(m, -4000, 4000),
                multiplier=s.ints(m, 2**15, 2**16 - 1),
                shift=s.ints(m, *factor_bits),
            )
        )

    for bits, top in ((4, 7), (8, 127)):
        tag = f"{bits}-bit weights"
        shift = (18, 22) if bits == 4 else (21, 26)
        linear(f"{tag}, small", 5, 24, 10, s.ints(120, -127, 127), s.ints(240, -top, top), shift)
        linear(f"{tag}, one term", 3, 1, 4, s.ints(3, -128, 127), s.ints(4, -top, top), (9, 16))
        linear(
            f"{tag}, one record for all",
            4,
            64,
            6,
            s.normal(256, 40, 127),
            s.normal(384, top / 3, top),
            shift,
            True,
        )
        linear(
            f"{tag}, K 768", 2, 768, 4, s.normal(1536, 40, 127), s.normal(3072, top / 3, top), shift
        )
        linear(
            f"{tag}, K 3072",
            1,
            3072,
            2,
            s.normal(1021, 40, 127),
            s.normal(2039, top / 3, top),
            shift,
        )
        linear(
            f"{tag}, K 4096, runs of extremes",
            2,
            4096,
            3,
            [-128] * 700 + [127] * 900,
            [-top] * 500 + [top] * 1100,
            shift,
        )
    linear("8-bit weights, K 4096, largest sum", 2, 4096, 2, [-128], [-128], (26, 30))
    linear(
        "8-bit weights, K 1025 and 2049 straddle a part",
        1,
        2049,
        2,
        [-128] * 5 + [127] * 3,
        [127, -128, 127],
        (24, 28),
    )
    for name, a in (
        ("ones", [1] * 256),
        ("i8", s.ints(256, -128, 127)),
        ("u8", s.ints(256, 0, 255)),
    ):
        out.append(
            case(
                "packed",
                f"every stored byte of 8x4 mode, activations {name}",
                a=a,
                bytes=list(range(256)),
            )
        )
    for byte in (0x80, 0x87, 0x88, 0x8F, 0x78, 0xF8, 0x08):
        out.append(case("packed", f"byte {byte:#04x}", a=[127, -128, 55], bytes=[byte] * 3))
    return out


def attention_cases():
    s = Source(SEED + 2)
    out = []

    def attention(name, rows, keys, head_dim, ranges, s_s=0.0625):
        out.append(
            case(
                "attention",
                name,
                rows=rows,
                keys=keys,
                head_dim=head_dim,
                q=s.normal(rows * head_dim, 45, 127),
                k=s.normal(keys * head_dim, 45, 127),
                v=s.normal(keys * head_dim, 45, 127),
                s_s=s_s,
                ranges=ranges,
                score_requant=[s.one(-500, 500), s.one(2**15, 2**16 - 1), 24],
                context_requant=[0, s.one(2**15, 2**16 - 1), 23],
            )
        )

    attention("full rows", 8, 24, 32, [[0, 24]] * 8)
    attention("padding to 17 of 24 keys", 8, 24, 16, [[0, 17]] * 5 + [[0, 0]] * 3)
    attention(
        "three sequences packed",
        16,
        16,
        16,
        [[0, 5]] * 5 + [[5, 6]] + [[6, 14]] * 8 + [[14, 14]] * 2,
    )
    attention(
        "any ranges",
        12,
        16,
        8,
        [
            [0, 16],
            [3, 3],
            [15, 16],
            [16, 20],
            [4, 2],
            [0, 65535],
            [65535, 65535],
            [7, 65535],
            [0, 1],
            [1, 15],
            [8, 16],
            [0, 8],
        ],
    )
    attention("sharp", 6, 32, 24, [[0, 32]] * 6, 0.75)

    import numpy_model

    softmax = lambda name, x, r, table: out.append(case("softmax", name, x=x, range=r, table=table))
    plain = numpy_model.exp_table(0.05)
    softmax("512 columns", s.normal(512, 30, 127), [0, 512], plain)
    softmax("512 equal columns", [7] * 512, [0, 512], plain)
    softmax("one column", [-128], [0, 1], plain)
    softmax("widest distance", [-128, 127, -128, 126], [0, 4], plain)
    x = s.ints(24, -128, 127)
    for name, table in (
        ("zeros", [0]),
        ("all 65535", [65535]),
        ("all 1", [1]),
        ("rising", [257 * i for i in range(256)]),
        ("first entry 0", [0] + [65535] * 255),
        ("only the first entry, 1", [1] + [0] * 255),
        ("random", s.ints(256, 0, 65535)),
        ("small random", s.ints(256, 0, 3)),
    ):
        softmax(f"hostile table: {name}", x, [2, 23], table)
    return out


def layernorm_cases():
    s = Source(SEED + 3)
    out = []
    import numpy_model

    def parameters(n, entries, eps=1, **fixed):
        q = math.ceil(math.log2(n)) + 16
        p = {
            "gamma": s.normal(entries, 50, 127),
            "beta": s.normal(entries, 60000, 2**25),
            "inv": round(2 ** (q + 4) / n),
            "q": q,
            "eps": eps,
            "m16": s.one(2**15, 2**16 - 1),
            "s16": 20,
            "m8": s.one(2**15, 2**16 - 1),
            "s8": 23,
        }
        return {**p, **fixed}

    def norm(name, n, x, p):
        out.append(case("layernorm", f"N {n}, {name}", n=n, x=x, **p))

    for n in (8, 16, 24, 128, 384, 768, 1000):
        norm("random", n, s.normal(n, 3000, 32767, 200), parameters(n, min(n, 128), s.one(1, 50)))
    norm("random", 4096, s.normal(4096, 2500, 32767, -300), parameters(4096, 96))
    norm("constant 32767, eps 1", 768, [32767], parameters(768, 8))
    for n in (8, 24):
        p = parameters(n, 8)
        for value in (0, 1, 32767, -32767):
            norm(f"constant {value}, eps 1", n, [value], p)
        norm("plus and minus the largest", n, [32767, -32767], p)
        norm("one outlier", n, [32767] + [0] * (n - 1), p)
        norm("one outlier on a large mean", n, [32767] + [-32000] * (n - 1), p)
        norm("one element differs by one", n, [-32767] * (n - 1) + [-32766], p)
        norm("variance of a step", n, s.ints(n, -1, 1), p)
        norm("largest eps", n, s.normal(n, 3, 32767), {**p, "eps": 2**32 - 1})
        norm("any i16", n, s.ints(n, -32767, 32767), p)
    hostile = {
        "q 0": {"q": 0},
        "q 255": {"q": 255},
        "inv all ones": {"inv": 2**32 - 1},
        "inv and q": {"inv": 2**21 - 1, "q": 1},
        "inv 0": {"inv": 0},
        "eps 0": {"eps": 0},
        "shifts 0": {"s16": 0, "s8": 64},
        "shifts 255": {"s16": 255, "s8": 105},
        "gamma -128": {"gamma": [-128]},
        "beta ends": {"beta": [2**31 - 1, -(2**31)]},
        "multipliers 0": {"m16": 0, "m8": 0},
        "multipliers largest": {"m16": 65535, "s16": 1, "m8": 65535, "s8": 1},
        "beta beside the 27-bit edge": {
            "beta": [2**26 - 1, -(2**26), 2**26, -(2**26) - 1],
            "m16": 65535,
            "s16": 27,
        },
    }
    for name, change in hostile.items():
        norm(
            f"illegal or extreme: {name}",
            32,
            s.normal(32, 6000, 32767, 3000),
            {**parameters(32, 16), **change},
        )
    norm("eps 0, constant row", 8, [5], {**parameters(8, 8), "eps": 0})
    norm(
        "illegal inv and q: the product wraps at 48 bits",
        2056,
        [-32767],
        {**parameters(2056, 4), "inv": 2**21 - 1, "q": 24},
    )

    edges = [0, 1, -1, 32767, -32767, -32768, 16384, -16384]
    out.append(case("residual", "edges", a=[a for a in edges for _ in edges], b=edges * len(edges)))
    out.append(
        case("residual", "random", a=s.ints(200, -32767, 32767), b=s.ints(200, -32767, 32767))
    )

    floats = lambda name, **kw: out.append(case("layernorm_parameters", name, **kw))
    floats(
        "N 8",
        gamma=s.grid(8, 0.5, 1.5),
        beta=s.grid(8, -1, 1),
        eps=1e-12,
        s_in=0.001,
        s_res=0.0007,
        s_y8=0.04,
    )
    floats(
        "N 24, large eps",
        gamma=s.grid(24, -2, 3),
        beta=s.grid(24, -9, 9),
        eps=1e-5,
        s_in=0.00025,
        s_res=0.002,
        s_y8=0.1,
    )
    floats(
        "N 384",
        gamma=s.grid(384, 0.2, 1.2),
        beta=s.grid(384, -0.5, 0.5),
        eps=1e-12,
        s_in=0.0004,
        s_res=0.0003,
        s_y8=0.03,
    )
    floats(
        "N 16, beta far above gamma",
        gamma=s.grid(16, 0, 0.002),
        beta=s.grid(16, -60, 60),
        eps=1e-7,
        s_in=0.01,
        s_res=0.01,
        s_y8=0.5,
    )
    floats(
        "N 8, gamma 0",
        gamma=[0.0] * 8,
        beta=s.grid(8, -1, 1),
        eps=1e-12,
        s_in=0.001,
        s_res=0.001,
        s_y8=0.02,
    )
    floats(
        "N 8, all 0, eps saturates",
        gamma=[0.0] * 8,
        beta=[0.0] * 8,
        eps=0.5,
        s_in=1e-5,
        s_res=0.001,
        s_y8=0.02,
    )

    v = [0, 1, 2, 3, 2**14 - 1, 2**14, 2**16 - 1, 2**16, 2**54 - 1, 2**54, 2**56 - 1]
    v += [int(2 ** (s.random() * 54)) for _ in range(200)]
    out.append(case("rsqrt", "any magnitude", v=v))
    return out


def table_cases():
    s = Source(SEED + 4)
    out = [case("rsqrt_tables", "B and D")]
    for kind in ("gelu_erf", "gelu_tanh", "relu"):
        for s_in, s_out in (
            (0.05, 0.05),
            (0.0314, 0.0213),
            (0.11, 0.02),
            (0.001, 0.0005),
            (0.5, 0.25),
        ):
            out.append(
                case("gelu", f"{kind} {s_in} to {s_out}", activation=kind, s_in=s_in, s_out=s_out)
            )
    v = s.grid(200, -8, 8) + [0.0, 0.125, 0.375, -0.125, -0.375, 1e6, -1e6, 31.75, -31.75, 31.875]
    out.append(case("host", "embedding output", v=v, scale=0.25))
    out.append(case("host", "embedding output, a scale of no short binary form", v=v, scale=0.0371))
    return out
