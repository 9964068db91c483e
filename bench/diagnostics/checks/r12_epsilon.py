"""R12: does a larger epsilon break more, and a very large one everything?

At a radius that reaches the grey image from every input, success is certain: all examples can be made the same image,
which has one class. An attack that then still leaves more than chance robust cannot find what surely is there. The
short form looks at that radius alone.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from fractions import Fraction

from torch import Tensor

from bench.core.types import Examples, Norm, ThreatModel
from bench.diagnostics.check import Check, by_pairs, by_share
from bench.diagnostics.search import Search
from bench.diagnostics.subject import Subject
from bench.ops import losses
from bench.row import CheckResult, Level

__all__ = ["ENTRY"]

AUDITED = 64
ATTACK = Search(name="sweep", objective=losses.negative_margin, steps=20, step=1 / 8)
TOLERATED = 0.05
FEW = 8
"""Examples of the short form, with an attack of fewer steps."""
ATTACK_IN_SHORT = Search(name="sweep", objective=losses.negative_margin, steps=6, step=1 / 4)


def _examine(subject: Subject) -> CheckResult:
    examples = subject.few_correct(FEW)[:AUDITED]
    radii = _radii(subject.threat_model, examples.inputs)[0 if subject.thorough else -1 :]
    broken = [_broken(subject, examples, radius) for radius in radii]
    counts = ", ".join(f"{int(each.sum())} at {radius}" for each, radius in zip(broken, radii, strict=True))
    attack = f"PGD-{_attack(subject).steps} on the margin"
    evidence = f"{attack} breaks, of {len(examples)} correct examples: {counts}, where all must break."
    falls = [_falls(small, large, evidence) for small, large in itertools.pairwise(broken)]
    failed = [found for found in falls if found.level is Level.FAIL]
    if failed:
        return max(failed, key=lambda found: found.statistic or 0.0)
    return by_share(int((~broken[-1]).sum()), len(examples), tolerated=TOLERATED, evidence=evidence)


def _radii(threat_model: ThreatModel, inputs: Tensor) -> tuple[ThreatModel, ...]:
    """Epsilon twice and four times as large, and one that reaches the grey image; none larger than that."""
    certain = Fraction(1, 2)
    if threat_model.norm is Norm.L1:
        certain *= inputs[0].numel()
    if threat_model.norm is Norm.L2:
        certain *= math.isqrt(inputs[0].numel()) + 1
    sizes = {min(factor * threat_model.epsilon, certain) for factor in (2, 4)} | {certain}
    return tuple(replace(threat_model, epsilon=size) for size in sorted(sizes))


def _broken(subject: Subject, examples: Examples, threat_model: ThreatModel) -> Tensor:
    return _attack(subject).run(subject.classifier, examples, threat_model, seed=subject.seed).broken


def _attack(subject: Subject) -> Search:
    return ATTACK if subject.thorough else ATTACK_IN_SHORT


def _falls(small: Tensor, large: Tensor, evidence: str) -> CheckResult:
    return by_pairs(int((small & ~large).sum()), int((large & ~small).sum()), len(small), evidence=evidence)


ENTRY = Check(
    id="R12",
    question="Does a larger epsilon break more, and a very large one everything?",
    examine=_examine,
    next="Look for clipping or quantisation inside the model; attack through it (BPDA), at the large epsilon first.",
    effort=40,
    short=3.25,
)
