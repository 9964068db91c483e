"""R9: does noise break what gradients do not?

Random points of the ball are the weakest attack there is; where one of them succeeds and all gradient attacks fail, the
gradient attacks were misled (Carlini et al. 2019, arXiv 1902.06705, section 4.3).
"""

from __future__ import annotations

import torch

from bench.diagnostics import points
from bench.diagnostics.check import Check, by_share, not_applicable
from bench.diagnostics.subject import Subject
from bench.row import CheckResult

__all__ = ["ENTRY"]

DRAWS = 50
DRAWS_IN_SHORT = 3
TOLERATED = 0.002


def _examine(subject: Subject) -> CheckResult:
    left = subject.white_box.left
    if not len(left):
        return not_applicable("The gradient attacks broke every correct example, so noise has nothing left to break.")
    examples = subject.correct[left]
    broken = torch.zeros(len(left), dtype=torch.bool, device=left.device)
    draws = DRAWS if subject.thorough else DRAWS_IN_SHORT
    for number in range(draws):
        for draw in (points.inside_ball, points.corner):
            place = draw(examples, subject.threat_model, seed=subject.seed, number=100 + number)
            broken |= subject.judged(place, examples).broken
    count = int(broken.sum())
    evidence = f"{2 * draws} random points break {count} of the {len(left)} examples that gradient attacks left robust."
    return by_share(count, len(left), tolerated=TOLERATED, evidence=evidence)


ENTRY = Check(
    id="R9",
    question="Does noise break nothing that gradients leave robust?",
    examine=_examine,
    next="Run Square with 5,000 queries and 10 restarts, and PGD from many random starts.",
    effort=120,
    short=3,
)
