"""`python -m fqbert_qat`: train, export, simulate, smoke."""

import argparse
import json
import resource
import sys
from dataclasses import fields
from pathlib import Path

import torch

from . import data, export, simulate, smoke
from .hf import Checkpoint, CheckpointError
from .train import Run, Settings, train


def parser():
    p = argparse.ArgumentParser(prog="python -m fqbert_qat", description=__doc__)
    sub = p.add_subparsers(dest="command", required=True)
    t = sub.add_parser("train", help="train a student of a checkpoint and export it")
    t.add_argument(
        "--teacher", required=True, type=Path, help="Hugging Face folder of the float model"
    )
    t.add_argument(
        "--data",
        required=True,
        type=Path,
        help="tab-separated sentences with a header line; labels are not used",
    )
    t.add_argument("--column", default="sentence", help="name of the column with the sentences")
    t.add_argument("--out", required=True, type=Path, help="folder for checkpoint.pt and export/")
    t.add_argument(
        "--checkpoint-every", type=int, default=100, help="steps from one checkpoint to the next"
    )
    t.add_argument(
        "--resume", action="store_true", help="go on from the checkpoint in --out, if there is one"
    )
    t.add_argument(
        "--stop-at",
        type=int,
        metavar="STEP",
        help="stop after this step with a checkpoint, without an export",
    )
    t.add_argument(
        "--device",
        default="cuda" if torch.cuda.is_available() else "cpu",
        help="cpu, or cuda for a GPU",
    )
    t.add_argument(
        "--threads", type=int, default=2, help="of the CPU; the last digits depend on their number"
    )
    words = {
        "least_tokens": "train on sentences of so many tokens or more",
        "max_tokens": "longer sentences are cut",
        "start": "a model that fqbert quantize made of the teacher, to start from "
        "instead of a calibration",
    }
    for f in fields(Settings):
        t.add_argument(
            "--" + f.name.replace("_", "-"),
            type=f.type,
            default=f.default,
            help=f"{words[f.name] + '; ' if f.name in words else ''}"
            f"default {f.default if f.default != '' else 'none'}",
        )
    s = sub.add_parser("simulate", help="logits of an export by integers in numpy, as JSON")
    s.add_argument("export", type=Path)
    s.add_argument("--data", type=Path, help="tab-separated sentences with a header line")
    s.add_argument("--column", default="sentence")
    s.add_argument("--limit", type=int, default=20, help="sentences at most, 0 for all")
    s.add_argument("--max-tokens", type=int, default=128)
    s.add_argument("-o", "--output", type=Path, help="default: expected.json in the export")
    k = sub.add_parser("smoke", help="make a tiny teacher, train it shortly, export, simulate")
    k.add_argument("out", type=Path)
    k.add_argument(
        "--text",
        action="store_true",
        help="keep tensors as text (tensors.json), as the committed export does",
    )
    return p


def run_train(args):
    torch.set_num_threads(max(args.threads, 1))
    torch.use_deterministic_algorithms(args.device == "cpu")
    settings = Settings(**{f.name: getattr(args, f.name) for f in fields(Settings)})
    checkpoint = Checkpoint.load(args.teacher)
    sentences = data.encode(
        data.tokenizer(args.teacher), data.read_column(args.data, args.column), settings.max_tokens
    )
    run = Run(checkpoint, sentences, settings, args.device)
    kept = args.out / "checkpoint.pt"
    if args.resume and kept.exists():
        run.resume(kept)
        print(f"resumed at step {run.step}")
    elif kept.exists():
        raise CheckpointError(
            f"{kept} is there already: give --resume to go on with it, or another --out"
        )
    same, apart = run.agreement()
    print(
        f"step {run.step}: {100 * same:.2f} % of {len(run.held)} held-out sentences agree, "
        f"logits {apart:.3f} apart",
        flush=True,
    )
    train(
        run,
        args.out,
        args.checkpoint_every,
        say=lambda line: print(line, flush=True),
        stop_at=args.stop_at,
    )
    if run.step < settings.steps:
        print(f"stopped at step {run.step}: go on with --resume")
        return
    export.write(run.student, checkpoint, args.teacher, args.out / "export", settings)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"wrote {args.out / 'export'}; {peak:.2f} GB of memory at most")


def run_simulate(args):
    model = simulate.Model.load(args.export)
    texts = data.read_column(args.data, args.column)
    ids = data.encode(data.tokenizer(args.export), texts[: args.limit or None], args.max_tokens)
    path = args.output or args.export / "expected.json"
    path.write_text(json.dumps(simulate.record(model, ids, texts)) + "\n", encoding="utf-8")
    print(f"wrote {path}: {len(ids)} sentences")


def main():
    args = parser().parse_args()
    try:
        {"train": run_train, "simulate": run_simulate, "smoke": smoke.main}[args.command](args)
    except (CheckpointError, data.DataError, OSError, ValueError, ArithmeticError) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
