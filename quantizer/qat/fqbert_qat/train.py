"""Distillation: the quantized student learns the float teacher's logits and hidden states."""

import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch.nn import functional as F

from . import calibrate, data, start
from .hf import CheckpointError
from .model import Bert
from .numerics import MAX4, MAX8

# Of the logits' divergence: as in the first paper of distillation (arXiv 1503.02531), above 1 so
# that sentences of which the teacher is sure still teach something.
TEMPERATURE = 2.0


@dataclass
class Settings:
    """What a run is made of. A run is resumed only with the settings that it was started with."""

    steps: int = 400
    batch: int = 32
    lr: float = 2e-5
    scale_lr: float = 5e-4
    warmup: float = 0.05
    weight_decay: float = 0.01
    hidden_weight: float = 1.0
    weight_bits: int = 4
    max_tokens: int = 64
    least_tokens: int = 0
    calibration: int = 256
    hold_out: int = 400
    seed: int = 0
    start: str = ""

    def check(self):
        """Refuses numbers that make no run."""
        for name, ok in (
            ("steps", self.steps >= 1),
            ("batch", self.batch >= 1),
            ("lr", 0 < self.lr < 1),
            ("scale_lr", 0 <= self.scale_lr < 1),
            ("warmup", 0 <= self.warmup <= 1),
            ("weight_bits", self.weight_bits in (4, 8)),
            ("max_tokens", 3 <= self.max_tokens <= 512),
            ("least_tokens", 0 <= self.least_tokens <= self.max_tokens),
            ("calibration", self.calibration >= 1),
            ("hold_out", self.hold_out >= 0),
            ("hidden_weight", self.hidden_weight >= 0),
            ("weight_decay", self.weight_decay >= 0),
        ):
            if not ok:
                raise ValueError(
                    f"--{name.replace('_', '-')} {getattr(self, name)} is out of range"
                )


class Run:
    """Teacher, student, optimizer and data of one training."""

    def __init__(self, checkpoint, sentences, settings, device="cpu"):
        settings.check()
        torch.manual_seed(settings.seed)
        self.settings, self.device, self.step = settings, torch.device(device), 0
        self.pad = checkpoint.config.get("pad_token_id", 0)
        limit = MAX4 if settings.weight_bits == 4 else MAX8
        self.teacher = Bert(checkpoint, limit).to(self.device).eval().requires_grad_(False)
        self.student = Bert(checkpoint, limit).to(self.device)
        # Data sets such as SST-2's are mostly fragments of a few words; quantization changes
        # answers in long sentences.
        sentences = [s for s in sentences if len(s) >= settings.least_tokens]
        if not sentences:
            raise data.DataError(
                f"no sentence has {settings.least_tokens} tokens: give a smaller --least-tokens"
            )
        held = min(settings.hold_out, len(sentences) // 4)
        self.sentences, self.held = (
            sentences[: len(sentences) - held],
            sentences[len(sentences) - held :],
        )
        self.order = data.Order([len(s) for s in self.sentences], settings.batch, settings.seed)
        if settings.start:
            start.take(self.student, settings.start)
        else:
            chosen = torch.randperm(
                len(self.sentences), generator=torch.Generator().manual_seed(settings.seed)
            )
            some = [self.sentences[i] for i in chosen[: settings.calibration].tolist()]
            calibrate.calibrate(self.student, some, self.pad, settings.seed, self.device)
        self.optimizer = torch.optim.AdamW(groups(self.student, settings), fused=True)
        self.base = [g["lr"] for g in self.optimizer.param_groups]

    def advance(self):
        """One step; gives its loss in parts."""
        schedule = rate(self.step, self.settings)
        for group, base in zip(self.optimizer.param_groups, self.base):
            group["lr"] = base * schedule
        ids, mask = data.collate(
            [self.sentences[i] for i in self.order.at(self.step)], self.pad, self.device
        )
        with torch.no_grad():
            embedded = self.teacher.embed(ids)
            wanted, wanted_hidden = self.teacher(ids, mask, embedded)
        logits, hidden = self.student(ids, mask, embedded)
        of_logits, of_hidden = losses(logits, wanted, hidden, wanted_hidden, mask)
        loss = of_logits + self.settings.hidden_weight * of_hidden
        if not torch.isfinite(loss):
            raise ArithmeticError(
                f"the loss of step {self.step + 1} is {float(loss)}: a lower --lr is needed"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        return float(of_logits.detach()), float(of_hidden.detach())

    @torch.no_grad()
    def agreement(self, batch=64):
        """Share of held-out sentences that student and teacher put into the same class, and the
        logits' mean difference.
        """
        same, apart = 0, 0.0
        order = sorted(range(len(self.held)), key=lambda i: len(self.held[i]))
        for at in range(0, len(order), batch):
            ids, mask = data.collate(
                [self.held[i] for i in order[at : at + batch]], self.pad, self.device
            )
            wanted, got = self.teacher(ids, mask)[0], self.student(ids, mask)[0]
            same += int((wanted.argmax(1) == got.argmax(1)).sum())
            apart += float((wanted - got).abs().mean(1).sum())
        n = max(len(order), 1)
        return same / n, apart / n

    def save(self, path):
        """Writes all that goes on: under a temporary name first, so that a crash leaves the last
        one.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        torch.save(
            {
                "settings": asdict(self.settings),
                "step": self.step,
                "student": self.student.state_dict(),
                "optimizer": self.optimizer.state_dict(),
            },
            temporary,
        )
        temporary.replace(path)

    def resume(self, path):
        """Takes up what `save` wrote."""
        kept = torch.load(path, map_location=self.device, weights_only=True)
        mine = asdict(self.settings)
        other = [
            f"{k} {kept['settings'].get(k)} there, {v} here"
            for k, v in mine.items()
            if kept["settings"].get(k) != v
        ]
        if other:
            raise CheckpointError(
                f"{path} is of another run: {'; '.join(other)}; use its settings or another --out"
            )
        self.student.load_state_dict(kept["student"])
        self.optimizer.load_state_dict(kept["optimizer"])
        self.step = kept["step"]


def groups(student, settings):
    """Parameters by what an optimizer does with them: matrices decay, scales have a rate of their
    own.
    """
    matrices, scales, rest = [], [], []
    for name, p in student.named_parameters():
        if name.endswith("log_scale"):
            scales.append(p)
        else:
            (matrices if name.endswith("weight") else rest).append(p)
    return [
        {"params": matrices, "lr": settings.lr, "weight_decay": settings.weight_decay},
        {"params": rest, "lr": settings.lr, "weight_decay": 0.0},
        {"params": scales, "lr": settings.scale_lr, "weight_decay": 0.0},
    ]


def rate(step, settings):
    """Linear warm-up, then half a cosine down to zero."""
    warm = settings.warmup * settings.steps
    if step < warm:
        return (step + 1) / (warm + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(settings.steps - warm, 1)))


def losses(logits, wanted, hidden, wanted_hidden, mask):
    """Divergence of the logits, and the hidden states' squared error over their energy, averaged
    over layers.
    """
    t = TEMPERATURE
    of_logits = (
        t
        * t
        * F.kl_div(
            (logits / t).log_softmax(1),
            (wanted / t).log_softmax(1),
            reduction="batchmean",
            log_target=True,
        )
    )
    parts = [
        (h[mask] - w[mask]).square().mean() / w[mask].square().mean()
        for h, w in zip(hidden, wanted_hidden)
    ]
    return of_logits, torch.stack(parts).mean()


def train(run, out, checkpoint_every, say=print, stop_at=None):
    """Steps up to the end of the run, or to `stop_at` before it, with a checkpoint every so many
    and at the last.
    """
    began, cpu, first = time.monotonic(), time.process_time(), run.step
    end = min(run.settings.steps, stop_at or run.settings.steps)
    for step in range(run.step, end):
        of_logits, of_hidden = run.advance()
        done = step + 1
        last = done == end
        if done % 20 == 0 or last:
            seconds, of_cpu = time.monotonic() - began, time.process_time() - cpu
            say(
                f"step {done} of {run.settings.steps}: logits {of_logits:.4f}, "
                f"hidden {of_hidden:.4f}; "
                f"{(done - first) / seconds:.2f} steps/s, {of_cpu:.0f} s of CPU"
            )
        if out and (last or (checkpoint_every and done % checkpoint_every == 0)):
            run.save(Path(out) / "checkpoint.pt")
            if run.held:
                same, apart = run.agreement()
                say(
                    f"step {done}: {100 * same:.2f} % of {len(run.held)} held-out sentences "
                    f"agree, logits {apart:.3f} apart"
                )
