"""R17: does the attack find an adversarial example that surely is there?

The active test of Zimmermann, Brendel, Tramer and Carlini 2022 (arXiv 2206.13991): change the model a little so that
each example certainly has an adversarial example, and see whether the attack finds one; an attack that does not says
nothing when it fails on the model itself. Differences: the new decision reads the model's logits instead of its last
features, so that all of the model lies in between and any module can be tested; the planted point is, of several random
points of the ball, the one that moves the logits most, and the decision is the direction in which it moves them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.core.types import Examples
from bench.diagnostics import points
from bench.diagnostics.attacking import perturbed
from bench.diagnostics.check import Check, by_share, not_applicable
from bench.diagnostics.queries import is_wrong, predict
from bench.diagnostics.subject import Subject
from bench.row import CheckResult

__all__ = ["ENTRY", "Planted"]

AUDITED = 32
CANDIDATES = 16
TOLERATED = 0.05


class Planted(nn.Module):
    """A decision between "as the clean input" (class 0) and "as the planted point" (class 1), for each example.

    Attacks drop and reorder rows, so a point belongs to the nearest clean input.

    Args:
        module: the model whose logits are read.
        inputs: the clean inputs, `(N, C, H, W)`.
        origin: their logits, `(N, K)`.
        heading: from there to the planted points' logits, `(N, K)`.
    """

    def __init__(self, module: nn.Module, inputs: Tensor, origin: Tensor, heading: Tensor) -> None:
        super().__init__()
        self.module = module
        self.training = False
        self._inputs = inputs.flatten(1)
        self._origin = origin
        self._heading = heading / heading.square().sum(1, keepdim=True)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return two logits `(n, 2)`: equal half of the way to the planted point, which has the difference 1."""
        rows = torch.cdist(inputs.detach().flatten(1), self._inputs).argmin(1)
        moved = self.module(inputs).float() - self._origin[rows]
        score = (moved * self._heading[rows]).sum(1)
        return torch.stack([0.5 - score, score - 0.5], dim=1)


def _examine(subject: Subject) -> CheckResult:
    if not subject.attacks:
        return not_applicable("There is no attack to look at.")
    examples = subject.correct[:AUDITED]
    origin = predict(subject.classifier, examples.inputs)
    heading = _planted(subject, examples, origin)
    usable = heading.isfinite().all(1) & (heading.square().sum(1) > 0)
    if not usable.any():
        return not_applicable("No random point of the ball changes a logit, so nothing can be planted.")
    examples = Examples(
        inputs=examples.inputs[usable],
        labels=torch.zeros_like(examples.labels[usable]),
        indices=examples.indices[usable],
    )
    planted = Planted(subject.classifier, examples.inputs, origin[usable], heading[usable])
    missed, counts = torch.ones(len(examples), dtype=torch.bool, device=usable.device), []
    for attack in subject.attacks:
        candidates = perturbed(attack, planted, examples, subject)
        if isinstance(candidates, CheckResult):
            return candidates
        found = is_wrong(predict(planted, candidates), examples.labels)
        counts.append(f"{attack.name} {int(found.sum())}")
        missed &= ~found
    count = int(missed.sum())
    evidence = (
        f"Of {len(examples)} planted adversarial examples, all attacks miss {count} (found: {', '.join(counts)})."
    )
    return by_share(count, len(examples), tolerated=TOLERATED, evidence=evidence)


def _planted(subject: Subject, examples: Examples, origin: Tensor) -> Tensor:
    """How the logits change at the point, of several random ones, that changes them most: `(N, K)`."""
    best = torch.zeros_like(origin)
    for number in range(CANDIDATES):
        draw = points.corner if number % 2 else points.inside_ball
        place = draw(examples, subject.threat_model, seed=subject.seed, number=200 + number)
        change = predict(subject.classifier, place) - origin
        further = change.norm(dim=1) > best.norm(dim=1)
        best = torch.where(further[:, None], change, best)
    return best


ENTRY = Check(
    id="R17",
    question="Do the attacks find a planted adversarial example?",
    examine=_examine,
    next="Strengthen the attack until it finds what was planted (more steps, BPDA, another loss); then attack again.",
    effort=80,
)
