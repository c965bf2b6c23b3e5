"""The NumPy model of docs/numerics.md, taken from where it lives
(`accelerator/numerics/numpy_model/`).
"""

import sys
from pathlib import Path

_FOLDER = Path(__file__).resolve().parents[3] / "device" / "numerics" / "numpy_model"
sys.path.insert(0, str(_FOLDER))

from numpy_model import (  # noqa: E402
    B,
    D,
    exp_table,
    from_factor,
    gelu_table,
    host,
    layernorm_parameters,
    layernorm_row,
    requant,
    residual_add,
    rsqrt,
    softmax_row,
)

__all__ = [
    "B",
    "D",
    "exp_table",
    "from_factor",
    "gelu_table",
    "host",
    "layernorm_parameters",
    "layernorm_row",
    "requant",
    "residual_add",
    "rsqrt",
    "softmax_row",
]
