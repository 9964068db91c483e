"""R16: are the attack's examples what they claim to be?

Every candidate is held against the threat model in float64: what lies outside proves nothing, and an attack that leaves
the ball is not the attack that was declared. A sample of the breaks is judged again alone; how many of them are still
breaks as 8-bit images is said beside it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.core.types import Examples
from bench.diagnostics.attacking import perturbed
from bench.diagnostics.check import Check, by_share, not_applicable
from bench.diagnostics.queries import is_wrong, predict
from bench.diagnostics.subject import Subject
from bench.evaluation import inside, pull_back
from bench.row import CheckResult, Level

__all__ = ["ENTRY"]

AUDITED = 64
ALONE = 8
LEVELS = 255


def _examine(subject: Subject) -> CheckResult:
    examples = subject.correct[:AUDITED]
    outside, fragile, breaks, rounded, names = 0, 0, 0, 0, []
    for attack in subject.attacks:
        candidates = perturbed(attack, subject.classifier, examples, subject)
        if isinstance(candidates, CheckResult):
            return candidates
        out = ~inside(candidates, examples.inputs, subject.threat_model)
        names += [f"{attack.name} {int(out.sum())}"] if out.any() else []
        outside = max(outside, int(out.sum()))
        candidates = torch.where(out[:, None, None, None], _pulled(subject, candidates, examples), candidates)
        broken = subject.judged(candidates, examples).broken.nonzero().squeeze(1)
        fragile = max(fragile, _fragile(subject, candidates[broken[:ALONE]], examples.labels[broken[:ALONE]]))
        breaks += len(broken)
        rounded += _breaks_as_bytes(subject, candidates[broken], examples.labels[broken])
    if not subject.attacks:
        return not_applicable("There is no attack to look at.")
    evidence = (
        f"Of {len(examples)} candidates, outside the ball: {', '.join(names) or 'none'}; breaks that do not hold alone:"
        f" {fragile}; of {breaks} breaks, {rounded} are breaks as 8-bit images too."
    )
    return _judged(outside + fragile, len(examples), evidence, off_grid=breaks - rounded > breaks / 2)


def _judged(bad: int, total: int, evidence: str, *, off_grid: bool) -> CheckResult:
    found = by_share(bad, total, tolerated=0.0, evidence=evidence)
    if found.level is Level.PASS and off_grid:
        return CheckResult(level=Level.WARN, statistic=found.statistic, threshold=found.threshold, evidence=evidence)
    return found


def _pulled(subject: Subject, candidates: Tensor, examples: Examples) -> Tensor:
    return pull_back(candidates.nan_to_num(0.0), examples.inputs, subject.threat_model)


def _fragile(subject: Subject, points: Tensor, labels: Tensor) -> int:
    """How many breaks of a batch are none alone."""
    alone = [
        is_wrong(predict(subject.classifier, points[row : row + 1]), labels[row : row + 1])
        for row in range(len(points))
    ]
    return int((~torch.cat(alone)).sum()) if alone else 0


def _breaks_as_bytes(subject: Subject, points: Tensor, labels: Tensor) -> int:
    if not len(points):
        return 0
    return int(is_wrong(predict(subject.classifier, (points * LEVELS).round() / LEVELS), labels).sum())


ENTRY = Check(
    id="R16",
    question="Do the attacks' examples obey the threat model, and break alone too?",
    examine=_examine,
    next="Project every candidate onto the ball and the box before it is judged, and judge one image at a time.",
    effort=90,
)
