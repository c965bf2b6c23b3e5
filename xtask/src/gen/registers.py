"""Prints the elaborated register block of a SystemRDL file as JSON, for the generator in Rust.

Usage: registers.py FILE PARAMETER=VALUE...
"""

import json
import sys

from systemrdl import RDLCompileError, RDLCompiler
from systemrdl.node import RegNode
from systemrdl.rdltypes import OnWriteType


def doc(node):
    """The description in one line: a string keeps the line breaks of the file."""
    return " ".join((node.get_property("desc") or "").split())


def field(node):
    """One field; `reset` is null where the value is a wire from the hardware."""
    reset = node.get_property("reset")
    return {
        "name": node.inst_name,
        "doc": doc(node),
        "lsb": node.low,
        "width": node.width,
        "reset": reset if isinstance(reset, int) else None,
        "readable": node.is_sw_readable,
        "writable": node.is_sw_writable,
        "write_one_to_clear": node.get_property("onwrite") == OnWriteType.woclr,
    }


def register(node):
    return {
        "name": node.inst_name,
        "title": node.get_property("name"),
        "doc": doc(node),
        "offset": node.raw_address_offset,
        "count": node.array_dimensions[0] if node.is_array else None,
        "stride": node.array_stride if node.is_array else None,
        "fields": [field(f) for f in node.fields()],
    }


def main():
    compiler = RDLCompiler()
    parameters = dict(argument.split("=", 1) for argument in sys.argv[2:])
    try:
        compiler.compile_file(sys.argv[1])
        root = compiler.elaborate(parameters={k: int(v, 0) for k, v in parameters.items()})
    except RDLCompileError:
        return 1  # the compiler has printed what and where
    registers = [register(r) for r in root.top.children(unroll=False) if isinstance(r, RegNode)]
    json.dump(registers, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
