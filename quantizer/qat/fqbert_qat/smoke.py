"""The whole way on a model that fits a page: a tiny teacher on made-up sentences, a short training,
export, simulation.

The tests use it, and so does `cargo xtask qat`; the committed export in
`quantizer/tests/learned/` was made by it.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from torch.nn import functional as F

from . import data, export, simulate
from .hf import Checkpoint
from .model import MATRICES, NORMS, Bert
from .train import Run, Settings, train

GOOD = ["good", "great", "fine", "lovely", "bright", "witty"]
BAD = ["bad", "dull", "poor", "grim", "flat", "lifeless"]
OTHER = ["the", "a", "film", "plot", "cast", "is", "was", "very", "quite", "and", "not", "story"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
CONFIG = {
    "architectures": ["BertForSequenceClassification"],
    "model_type": "bert",
    "hidden_act": "gelu",
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
    "pad_token_id": 0,
    "vocab_size": len(SPECIAL + GOOD + BAD + OTHER),
    "id2label": {"0": "negative", "1": "positive"},
    "label2id": {"negative": 0, "positive": 1},
}
SETTINGS = Settings(
    steps=60, batch=16, lr=2e-3, scale_lr=2e-3, max_tokens=16, calibration=64, hold_out=64
)


def sentences(count, seed):
    """Sentences and their class: which of two kinds of words is more frequent, the other way round
    behind a "not".
    """
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    while len(texts) < count:
        words = [
            str(rng.choice(w))
            for w in rng.permutation(np.array([OTHER, OTHER, GOOD, BAD], dtype=object))
        ]
        words = [str(w) for w in rng.choice(words, int(rng.integers(2, 9)))]
        score, sign = 0, 1
        for w in words:
            score += sign * ((w in GOOD) - (w in BAD))
            sign = -1 if w == "not" else 1
        if score:
            texts.append(" ".join(words))
            labels.append(int(score > 0))
    return texts, labels


def write_tokenizer(folder):
    """A word-piece tokenizer that knows these words."""
    vocab = {w: i for i, w in enumerate(SPECIAL + GOOD + BAD + OTHER)}
    t = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer()
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    t.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])],
    )
    t.save(str(folder / "tokenizer.json"))


def random_checkpoint(seed):
    """Untrained tensors of the tiny shape."""
    g = torch.Generator().manual_seed(seed)
    h, m = CONFIG["hidden_size"], CONFIG["intermediate_size"]
    tensors = {}

    def dense(name, outputs, inputs):
        tensors[f"{name}.weight"] = torch.randn(outputs, inputs, generator=g) / inputs**0.5
        tensors[f"{name}.bias"] = 0.1 * torch.randn(outputs, generator=g)

    def norm(name):
        tensors[f"{name}.weight"] = 1 + 0.1 * torch.randn(h, generator=g)
        tensors[f"{name}.bias"] = 0.1 * torch.randn(h, generator=g)

    for name, rows in (
        ("word", CONFIG["vocab_size"]),
        ("position", CONFIG["max_position_embeddings"]),
        ("token_type", 2),
    ):
        tensors[f"bert.embeddings.{name}_embeddings.weight"] = torch.randn(rows, h, generator=g).to(
            torch.float16
        )
    norm("bert.embeddings.LayerNorm")
    for i in range(CONFIG["num_hidden_layers"]):
        prefix = f"bert.encoder.layer.{i}."
        for matrix, name in MATRICES.items():
            dense(prefix + name, m if matrix == "ffn_in" else h, m if matrix == "ffn_out" else h)
        for name in NORMS.values():
            norm(prefix + name)
    dense("bert.pooler.dense", h, h)
    dense("classifier", 2, h)
    return Checkpoint(dict(CONFIG), tensors)


def teach(checkpoint, ids, labels, steps=200, batch=32):
    """Trains a tiny float teacher in place, and gives its share of right answers."""
    model, labels = Bert(checkpoint), torch.tensor(labels)
    parameters = [p for n, p in model.named_parameters() if not n.endswith("log_scale")]
    optimizer = torch.optim.Adam(parameters, lr=5e-3)
    order = data.Order([len(s) for s in ids], batch, 0)
    for step in range(steps):
        at = order.at(step)
        logits, _ = model(*data.collate([ids[i] for i in at], 0))
        optimizer.zero_grad()
        F.cross_entropy(logits, labels[at]).backward()
        optimizer.step()
    for i, layer in enumerate(model.layers):
        prefix = f"bert.encoder.layer.{i}."
        for m, name in MATRICES.items():
            checkpoint.tensors[f"{prefix}{name}.weight"] = layer.matrices[m].weight.detach()
            checkpoint.tensors[f"{prefix}{name}.bias"] = layer.matrices[m].bias.detach()
        for n, name in NORMS.items():
            checkpoint.tensors[f"{prefix}{name}.weight"] = layer.norms[n].gamma.detach()
            checkpoint.tensors[f"{prefix}{name}.bias"] = layer.norms[n].beta.detach()
    for name, linear in (("bert.pooler.dense", model.pooler), ("classifier", model.classifier)):
        checkpoint.tensors[f"{name}.weight"], checkpoint.tensors[f"{name}.bias"] = (
            linear.weight.detach(),
            linear.bias.detach(),
        )
    with torch.no_grad():
        answers = model(*data.collate(ids, 0))[0].argmax(1)
    return float((answers == labels).float().mean())


def teacher(folder, seed=0):
    """A tiny teacher's folder, with `train.tsv` in it; gives its share of right answers on that."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    texts, labels = sentences(768, seed)
    write_tokenizer(folder)
    ids = data.encode(data.tokenizer(folder), texts, CONFIG["max_position_embeddings"])
    checkpoint = random_checkpoint(seed)
    right = teach(checkpoint, ids, labels)
    checkpoint.save(folder)
    rows = "".join(f"{t}\t{label}\n" for t, label in zip(texts, labels))
    (folder / "train.tsv").write_text("sentence\tlabel\n" + rows, encoding="utf-8")
    return right


def student(folder, settings=SETTINGS):
    """A `Run` on a tiny teacher's folder."""
    ids = data.encode(
        data.tokenizer(folder),
        data.read_column(Path(folder) / "train.tsv", "sentence"),
        settings.max_tokens,
    )
    return Run(Checkpoint.load(folder), ids, settings)


def tensors_as_text(folder):
    """`model.safetensors` as `tensors.json`, one tensor a line: `[dtype, shape, values]`."""
    lines = []
    for name, t in sorted(load_file(folder / "model.safetensors").items()):
        dtype = {"float16": "F16", "float32": "F32"}[t.dtype.name]
        values = [export.shortest(v) for v in t.reshape(-1)]
        lines.append(
            f" {json.dumps(name)}: "
            f"{json.dumps([dtype, list(t.shape), values], separators=(',', ':'))}"
        )
    (folder / "tensors.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="ascii")
    (folder / "model.safetensors").unlink()


def main(args):
    """`python -m fqbert_qat smoke`."""
    torch.set_num_threads(1)
    out = args.out
    shutil.rmtree(out, ignore_errors=True)
    right = teacher(out / "teacher")
    run = student(out / "teacher")
    before = run.agreement()
    train(run, out, 0)
    after = run.agreement()
    export.write(
        run.student, Checkpoint.load(out / "teacher"), out / "teacher", out / "export", run.settings
    )
    folder = out / "export"
    texts, _ = sentences(24, 99)
    ids = data.encode(data.tokenizer(folder), texts, CONFIG["max_position_embeddings"])
    record = simulate.record(simulate.Model.load(folder), ids, texts)
    lines = ",\n".join(json.dumps(s, separators=(",", ":")) for s in record["sentences"])
    (folder / "expected.json").write_text('{"sentences":[\n' + lines + "\n]}\n", encoding="utf-8")
    if args.text:
        tensors_as_text(folder)
    print(
        f"teacher right {100 * right:.1f} %; "
        f"held-out sentences that agree: {100 * before[0]:.1f} % before, "
        f"{100 * after[0]:.1f} % after; "
        f"logits {before[1]:.3f} apart before, {after[1]:.3f} after; wrote {folder}"
    )
