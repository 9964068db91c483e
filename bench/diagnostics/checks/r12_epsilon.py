"""R12: does a larger epsilon break more, and a very large one everything?

At a radius that reaches the grey image from every input, success is certain: all examples can be made the same image,
which has one class. An attack that then still leaves more than chance robust cannot find what surely is there.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from fractions import Fraction

from torch import Tensor

from bench.core.types import Examples, Norm, ThreatModel
from bench.diagnostics.check import Check, by_pairs, by_share
from bench.diagnostics.search import Search, margin
from bench.diagnostics.subject import Subject
from bench.row.check_result import CheckResult, Level

__all__ = ["ENTRY"]

AUDITED = 64
ATTACK = Search(name="sweep", objective=margin, steps=20, step=1 / 8)
TOLERATED = 0.05


def _examine(subject: Subject) -> CheckResult:
    examples = subject.correct[:AUDITED]
    radii = _radii(subject.threat_model, examples.inputs)
    broken = [_broken(subject, examples, radius) for radius in radii]
    counts = ", ".join(f"{int(each.sum())} at {radius}" for each, radius in zip(broken, radii, strict=True))
    evidence = f"PGD-20 on the margin breaks, of {len(examples)} correct examples: {counts}, where all must break."
    falls = [_falls(small, large, evidence) for small, large in itertools.pairwise(broken)]
    worst = max(falls, key=lambda found: (found.level is Level.FAIL, found.statistic or 0.0))
    if worst.level is Level.FAIL:
        return worst
    return by_share(int((~broken[-1]).sum()), len(examples), tolerated=TOLERATED, evidence=evidence)


def _radii(threat_model: ThreatModel, inputs: Tensor) -> tuple[ThreatModel, ...]:
    """Epsilon twice and four times as large, and one that reaches the grey image; none larger than that."""
    certain = Fraction(1, 2)
    if threat_model.norm is Norm.L2:
        certain *= math.isqrt(inputs[0].numel()) + 1
    sizes = {min(factor * threat_model.epsilon, certain) for factor in (2, 4)} | {certain}
    return tuple(replace(threat_model, epsilon=size) for size in sorted(sizes))


def _broken(subject: Subject, examples: Examples, threat_model: ThreatModel) -> Tensor:
    return ATTACK.run(subject.classifier, examples, threat_model, seed=subject.seed).broken


def _falls(small: Tensor, large: Tensor, evidence: str) -> CheckResult:
    return by_pairs(int((small & ~large).sum()), int((large & ~small).sum()), len(small), evidence=evidence)


ENTRY = Check(
    id="R12",
    question="Does a larger epsilon break more, and a very large one everything?",
    examine=_examine,
    next="Look for clipping or quantisation inside the model; attack through it (BPDA), at the large epsilon first.",
    effort=40,
)
