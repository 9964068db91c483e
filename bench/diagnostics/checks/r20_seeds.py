"""R20: does another seed find the same?

Attacks that succeed by luck leave other examples robust each time, so that the union over seeds keeps growing
(auto-attack's issues on random defences count single lucky misses as robustness).
"""

from __future__ import annotations

import torch

from bench.diagnostics.check import Check, by_share, not_applicable
from bench.diagnostics.search import Search
from bench.diagnostics.subject import Subject
from bench.ops import losses
from bench.row import CheckResult

__all__ = ["ENTRY"]

AUDITED = 64
SEEDS = 3
ATTACK = Search(name="seeds", objective=losses.negative_margin, steps=20, step=1 / 8)
TOLERATED = 0.005
"""Of all correct examples: points of accuracy."""


def _examine(subject: Subject) -> CheckResult:
    left = subject.white_box.left[:AUDITED]
    if not len(left):
        return not_applicable("The attacks broke every correct example with one seed.")
    examples = subject.correct[left]
    broken = torch.zeros(len(left), dtype=torch.bool, device=left.device)
    for number in range(1, SEEDS + 1):
        broken |= subject.search(ATTACK, examples, seed=subject.seed + number).broken
    count = int(broken.sum())
    evidence = f"{SEEDS} other seeds of PGD-20 break {count} of {len(left)} examples that were left robust."
    return by_share(count, len(subject.correct), tolerated=TOLERATED, evidence=evidence)


ENTRY = Check(
    id="R20",
    question="Do other seeds find nothing new?",
    examine=_examine,
    next="Attack with 10 restarts or more and count the union over them.",
    effort=60,
)
