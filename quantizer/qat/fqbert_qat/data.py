"""Sentences of a table, as batches of one length or nearly so."""

import csv
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

# Batches whose sentences are sorted by length together: little padding, and still a new mix in
# every epoch.
POOL = 50


class DataError(ValueError):
    """A file of sentences that cannot be used."""


def tokenizer(folder):
    """The tokenizer of a checkpoint folder, without padding or truncation of its own."""
    path = Path(folder) / "tokenizer.json"
    if not path.exists():
        raise DataError(f"no {path}: convert the checkpoint's tokenizer to tokenizer.json first")
    t = Tokenizer.from_file(str(path))
    t.no_padding()
    t.no_truncation()
    return t


def read_column(path, column):
    """The texts of a named column of a tab-separated file with a header line."""
    with open(path, encoding="utf-8", newline="") as f:
        rows = csv.reader(f, delimiter="\t", quoting=csv.QUOTE_NONE)
        header = next(rows, [])
        if column not in header:
            raise DataError(
                f'{path}: no column "{column}"; the header line has {", ".join(header)}'
            )
        at = header.index(column)
        texts = [row[at] for row in rows if len(row) > at and row[at].strip()]
    if not texts:
        raise DataError(f"{path}: no sentences")
    return texts


def encode(tokens, texts, max_tokens):
    """Token ids of every text. A longer one keeps its first tokens and its last, which is [SEP]."""
    out = []
    for e in tokens.encode_batch(texts):
        ids = e.ids if len(e.ids) <= max_tokens else e.ids[: max_tokens - 1] + e.ids[-1:]
        out.append(np.asarray(ids, dtype=np.int32))
    return out


def collate(sentences, pad, device="cpu"):
    """`ids` and `mask` `[sentences, longest]`."""
    longest = max(len(s) for s in sentences)
    ids = np.full((len(sentences), longest), pad, dtype=np.int64)
    mask = np.zeros(ids.shape, dtype=bool)
    for row, s in enumerate(sentences):
        ids[row, : len(s)], mask[row, : len(s)] = s, True
    return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)


class Order:
    """Which sentences a step takes: a function of the seed and the step alone, so that a resumed
    run goes on alike.
    """

    def __init__(self, lengths, batch, seed):
        self.lengths, self.batch, self.seed = np.asarray(lengths), min(batch, len(lengths)), seed
        self.per_epoch = len(lengths) // self.batch
        self.epoch, self.batches = None, None

    def at(self, step):
        """Indices of the sentences of a step from 0."""
        epoch, at = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            rng = np.random.default_rng([self.seed, epoch])
            order = rng.permutation(len(self.lengths))[: self.per_epoch * self.batch]
            pools = [
                order[i : i + POOL * self.batch] for i in range(0, len(order), POOL * self.batch)
            ]
            order = np.concatenate([p[np.argsort(self.lengths[p], kind="stable")] for p in pools])
            self.batches = rng.permutation(order.reshape(-1, self.batch), axis=0)
            self.epoch = epoch
        return self.batches[at]
