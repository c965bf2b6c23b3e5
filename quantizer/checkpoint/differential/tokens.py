"""Random tokenizer settings and texts: the ids that fqbert gives, or a refusal, against those of
transformers and tokenizers from PyPI. Prints the seed; a difference is shrunk by dropping settings.

    tokens.py PROGRAM [--cases N] [--seed S]

PROGRAM is the example `tokenize` of fqbert-checkpoint."""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

os.environ.update(
    RUST_BACKTRACE="0",
    HF_HUB_OFFLINE="1",
    TRANSFORMERS_VERBOSITY="critical",
    TOKENIZERS_PARALLELISM="0",
)
from transformers import AutoTokenizer  # noqa: E402
from transformers.utils import logging  # noqa: E402

from corners import PARTS  # noqa: E402
from folders import SETTINGS, Folder  # noqa: E402

logging.set_verbosity(logging.CRITICAL)

LONGEST = 48


class Case:
    """A kind of folder, settings with the seeds of their values, and texts."""

    def __init__(self, seed):
        r = random.Random(seed)
        self.kind = r.choice(["json", "json", "vocab", "bpe", "unigram"])
        self.settings = [(s, r.randrange(1 << 30)) for s in SETTINGS if r.random() < 0.16]
        self.texts = [
            "".join(
                r.choice(PARTS) + r.choice([" ", " ", "", "  "]) for _ in range(r.randint(1, 10))
            )
            for _ in range(12)
        ]

    def folder(self, settings):
        folder = Folder(self.kind)
        for setting, seed in settings:
            setting(folder, random.Random(seed))
        return folder


class Referee:
    """transformers' ids of each text and of an empty one at the end; None if it fails."""

    def ids(self, path, texts):
        try:
            tokenizer = AutoTokenizer.from_pretrained(path)
            longest = min(tokenizer.model_max_length, LONGEST)
            return [
                tokenizer(t, truncation=True, max_length=longest)["input_ids"] for t in [*texts, ""]
            ]
        except KeyboardInterrupt:
            raise
        except BaseException:  # a panic of the library too: there are no ids
            return None


def difference(case, settings, ours, referee, counts):
    """What differs, as text; None if nothing does."""
    path = tempfile.mkdtemp(prefix="tokens-")
    try:
        case.folder(settings).write(path)
        ours.stdin.write(
            json.dumps({"folder": path, "texts": case.texts, "longest": LONGEST}) + "\n"
        )
        ours.stdin.flush()
        answer = json.loads(ours.stdout.readline())
        wanted = referee.ids(path, case.texts)
    finally:
        shutil.rmtree(path)
    if "error" in answer:
        counts["refused"] += 1
        counts["reasons"].setdefault(answer["error"].split(path)[-1][:100], 0)
        counts["reasons"][answer["error"].split(path)[-1][:100]] += 1
        return None if len(answer["error"]) > 10 else "an error that says nothing"
    if wanted is None:
        counts["referee fails"] += 1
        return None
    for text, found, right in zip(case.texts, answer["ids"], wanted):
        # A text without tokens, or of white space alone, is an error of its own.
        without = found is None and (right == wanted[-1] or not text.strip())
        if found != right and not without:
            return f"text {text!r}\n  fqbert       {found}\n  transformers {right}"
    counts["equal"] += 1
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None)
    args = parser.parse_args()
    seed = random.randrange(1 << 32) if args.seed is None else args.seed
    print(f"seed {seed}, {args.cases} cases", flush=True)
    counts = {"equal": 0, "refused": 0, "referee fails": 0, "reasons": {}}
    referee, failed = Referee(), 0
    with subprocess.Popen(
        [args.program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as ours:
        for number in range(args.cases):
            case = Case(f"{seed}/{number}")
            found = difference(case, case.settings, ours, referee, counts)
            if found is None:
                continue
            failed += 1
            settings, scratch = case.settings, {
                "equal": 0,
                "refused": 0,
                "referee fails": 0,
                "reasons": {},
            }
            for setting in list(settings):
                fewer = [s for s in settings if s is not setting]
                other = difference(case, fewer, ours, referee, scratch)
                if other is not None:
                    settings, found = fewer, other
            folder = case.folder(settings)
            print(f"DIFFERENCE in case {number} of seed {seed}, {case.kind}:\n  {found}")
            for name, value in folder.files.items():
                shown = (
                    {
                        k: v
                        for k, v in value.items()
                        if k not in ("model", "decoder", "added_tokens")
                    }
                    if name == "tokenizer.json"
                    else value
                )
                print(f"  {name}: {json.dumps(shown, ensure_ascii=False)[:1500]}")
            if failed == 10:
                break
        ours.stdin.close()
    reasons = counts.pop("reasons")
    print(counts)
    for reason, count in sorted(reasons.items(), key=lambda item: -item[1])[:8]:
        print(f"  refused {count}: {reason}")
    if counts["equal"] < args.cases // 3:
        print("too few cases with ids to compare")
        return 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
