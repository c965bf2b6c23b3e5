"""The referee of docs/numerics.md, taken from where it lives (`fabric/numerics/referee/`)."""

import sys
from pathlib import Path

_FOLDER = Path(__file__).resolve().parents[3] / "fabric" / "numerics" / "referee"
sys.path.insert(0, str(_FOLDER))

from referee import (  # noqa: E402
    B, D, exp_table, from_factor, gelu_table, host, layernorm_parameters, layernorm_row, requant, residual_add, rsqrt, softmax_row,
)

__all__ = [
    "B", "D", "exp_table", "from_factor", "gelu_table", "host", "layernorm_parameters", "layernorm_row", "requant", "residual_add",
    "rsqrt", "softmax_row",
]
