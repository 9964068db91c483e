"""R13: does an attack without gradients, or from another model, break what gradients do not?

An attacker who sees the gradient can do all that one without it can. Square (arXiv 1912.00049) and examples made for
other models of the dataset must therefore find nothing new; in eleven public AutoAttack logs of honest models Square
broke 2 of 54,533 survivors.
"""

from __future__ import annotations

import torch

from bench.attacks.autoattack import Square
from bench.attacks.cw import CW
from bench.diagnostics.check import Check, by_share, not_applicable
from bench.diagnostics.subject import Subject
from bench.row.check_result import CheckResult

__all__ = ["ENTRY"]

QUERIES = 300
TRANSFER = CW(steps=20)
TOLERATED = 0.002


def _examine(subject: Subject) -> CheckResult:
    left = subject.white_box.left
    if not len(left):
        return not_applicable("The gradient attacks broke every correct example, so nothing is left for others.")
    examples = subject.correct[left]
    square = Square(queries=QUERIES, engine="fast")
    points = square.perturb(subject.classifier, examples, subject.threat_model, seed=subject.seed)
    by_square = subject.judged(points, examples).broken
    by_transfer = torch.zeros_like(by_square)
    for surrogate in subject.surrogates:
        subject.clock.look()
        points = TRANSFER.perturb(surrogate, examples, subject.threat_model, seed=subject.seed)
        by_transfer |= subject.judged(points, examples).broken
    count = int((by_square | by_transfer).sum())
    evidence = (
        f"Of the {len(left)} examples that gradients left robust, Square breaks {int(by_square.sum())} with {QUERIES}"
        f" queries, and attacks on {len(subject.surrogates)} other models break {int(by_transfer.sum())}."
    )
    return by_share(count, len(left), tolerated=TOLERATED, evidence=evidence)


ENTRY = Check(
    id="R13",
    question="Do attacks without its gradient find nothing new?",
    examine=_examine,
    next="Run Square with 5,000 queries and 30 restarts; transfer from models without the defence; distrust gradients.",
    effort=150,
)
