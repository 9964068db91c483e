"""R10: are stronger attacks stronger?

One step must not beat ten, nor ten a hundred (Carlini et al. 2019, arXiv 1902.06705). That the margin loss breaks more
than the cross-entropy happens on honest models too, so that gap only warns.
"""

from __future__ import annotations

import itertools

from torch import Tensor

from bench.diagnostics.check import Check, by_pairs
from bench.diagnostics.subject import Subject
from bench.row import CheckResult, Level

__all__ = ["ENTRY"]

GAP = 0.05
"""Share of all correct examples that the margin loss may break beyond the cross-entropy."""


def _examine(subject: Subject) -> CheckResult:
    ladder = (("FGSM", subject.fgsm.broken), ("PGD-10", subject.pgd_10.broken), ("PGD-100", subject.pgd_100.broken))
    total = len(subject.correct)
    counts = ", ".join(f"{name} {int(broken.sum())}" for name, broken in ladder)
    by_margin = subject.by_margin.broken
    evidence = f"Broken, of {total} correct examples: {counts}, PGD-50 on the margin {int(by_margin.sum())}."
    steps = [_compare(weak, strong, evidence) for (_, weak), (_, strong) in itertools.pairwise(ladder)]
    worst = max(steps, key=lambda found: (found.level is Level.FAIL, found.statistic or 0.0))
    if worst.level is Level.FAIL:
        return worst
    gap = int(by_margin.sum() - ladder[-1][1].sum()) / total
    level = Level.WARN if gap > GAP else Level.PASS
    return CheckResult(level=level, statistic=worst.statistic, threshold=0.0, evidence=evidence)


def _compare(weak: Tensor, strong: Tensor, evidence: str) -> CheckResult:
    more, less = int((weak & ~strong).sum()), int((strong & ~weak).sum())
    return by_pairs(more, less, len(weak), evidence=evidence)


ENTRY = Check(
    id="R10",
    question="Are stronger attacks stronger?",
    examine=_examine,
    next="Use losses that do not saturate (CW, APGD-T) and 10 random restarts, and look at the loss along the path.",
    effort=60,
)
