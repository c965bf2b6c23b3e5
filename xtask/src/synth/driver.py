"""Runs Yosys for `cargo xtask synth`: elaborates a geometry, or maps modules one by one.

    driver.py elaborate FOLDER PRESET OUT SOURCE...
    driver.py trim FOLDER TOP IN OUT
    driver.py cascade FOLDER OUT SOURCE...
    driver.py map FOLDER WORKERS NAME...

Sources are read in FOLDER. `trim` carries constants and unused ports across modules, and dissolves
the smallest. `cascade` maps one chain of the array, all of it in one, for a look at its
connections.

IN and OUT are netlists in Yosys' JSON. Generated names are numbered anew in each module before one
is written, since they are all that differs between copies of a module.

`map` reads FOLDER/NAME.netlist, whose one module that is not a box is synthesized, and writes
FOLDER/NAME.json, the cells. Every module is mapped in a fork of a process that has read the cell
library and nothing else, so a result depends on its input alone.
"""

import os
import resource
import signal
import sys

from pyosys import libyosys

MEMORY = 4 << 30  # bytes of address space of one module's run
SECONDS = 1800  # of processor time of one module's run

# Modules that are no more than some registers or one primitive become part of the module above.
DISSOLVED = "fqbert_delay* fqbert_marker_delay* fqbert_multiply_add*"
TRIM = [
    "setattr -mod -set keep_hierarchy 1 *",
    f"setattr -mod -unset keep_hierarchy {DISSOLVED}",
    "flatten",
    *["opt_expr", "opt_clean", "opt_hier"] * 2,
    "opt_expr",
    "opt_clean",
]
LIBRARY = [
    "read_verilog -lib -specify +/xilinx/cells_sim.v",
    "read_verilog -lib +/xilinx/cells_xtra.v",
]
NUMBER = "rename -enumerate -pattern generated%"
MAP = ["synth_xilinx -family xcup -noiopad -noclkbuf -run prepare:finalize"]


def limit():
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


def log_to(path):
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)


def run(design, commands):
    for command in commands:
        libyosys.run_pass(command, design)


def elaborate(folder, preset, out, sources):
    limit()
    os.chdir(folder)
    log_to(out + ".log")
    design = libyosys.Design()
    top = f"--top fqbert_top -G PRESET={preset} -D FQBERT_VENDOR --keep-hierarchy"
    run(design, [f"read_slang {top} {' '.join(sources)}", NUMBER, f"write_json {out}"])


def trim(folder, top, source, out):
    limit()
    os.chdir(folder)
    log_to(out + ".log")
    design = libyosys.Design()
    read = [f"read_json {source}", f"hierarchy -top {top}"]
    run(design, [*read, *TRIM, NUMBER, f"write_json {out}"])


def cascade(folder, out, sources):
    limit()
    os.chdir(folder)
    log_to(out + ".log")
    design = libyosys.Design()
    read = f"read_slang --top fqbert_cascade -D FQBERT_VENDOR {' '.join(sources)}"
    run(design, [*LIBRARY, read, "flatten", *MAP, "blackbox =A:whitebox", f"write_json {out}"])


def map_one(design, name):
    log_to(name + ".log")
    limit()
    run(design, [f"read_json {name}.netlist", *MAP, f"tee -q -o {name}.part stat -json"])
    os.rename(f"{name}.part", f"{name}.json")


def map_all(folder, workers, names):
    os.chdir(folder)
    design = libyosys.Design()
    log_to("library.log")
    run(design, LIBRARY)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    running, failed = {}, []
    queue = list(names)
    while queue or running:
        while queue and len(running) < workers:
            name = queue.pop(0)
            child = os.fork()
            if child == 0:
                try:
                    map_one(design, name)
                    os._exit(0)
                except BaseException as error:  # the parent reports it
                    print(error, flush=True)
                    os._exit(1)
            running[child] = name
        child, status = os.wait()
        name = running.pop(child)
        if status != 0:
            failed.append(f"{name} (status {status})")
    return failed


def main(arguments):
    task, folder = arguments[:2]
    if task == "elaborate":
        elaborate(folder, arguments[2], arguments[3], arguments[4:])
    elif task == "trim":
        trim(folder, *arguments[2:])
    elif task == "cascade":
        cascade(folder, arguments[2], arguments[3:])
    else:
        failed = map_all(folder, int(arguments[2]), arguments[3:])
        if failed:
            sys.exit("failed: " + ", ".join(failed))


main(sys.argv[1:])
