"""R4: are the logits finite wherever an attacker may go?

NaN compares false with everything, so a careless harness counts it as robust. Looked at: the inputs, points just off
the pixel grid, noise and corners of the ball, and the iterates of an attack; that random, black, grey or white images,
which no attacker of these examples reaches, are answered without a finite logit only warns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from bench.diagnostics import points
from bench.diagnostics.check import Check, by_share
from bench.diagnostics.queries import predict, slope
from bench.diagnostics.subject import Subject
from bench.ops import losses, norms
from bench.row import CheckResult, Level

__all__ = ["ENTRY"]

OFF_GRID = 1e-4
"""Far below a step of 1/255."""
STEPS = 5
FEW = 6
"""Examples that the short form looks at; the attacks of a run looked at all."""


def _examine(subject: Subject) -> CheckResult:
    total = len(subject.few(FEW))
    bad, where = _look(subject, _in_the_ball(subject))
    evidence = f"Within the ball, logits are not finite for {bad} of {total} examples: {where}."
    found = by_share(bad, total, tolerated=0.0, evidence=evidence)
    if found.level is not Level.PASS:
        return found
    beyond, where = _look(subject, _elsewhere(subject))
    if beyond:
        evidence = f"Beyond the ball, logits are not finite for {beyond} of {total} images: {where}."
        return CheckResult(level=Level.WARN, statistic=0.0, threshold=0.0, evidence=evidence)
    return found


def _look(subject: Subject, places: Iterable[tuple[str, Tensor]]) -> tuple[int, str]:
    """For how many examples logits are not finite at one of the places, and at which."""
    broken = torch.zeros(len(subject.few(FEW)), dtype=torch.bool, device=subject.examples.inputs.device)
    where = []
    for name, place in places:
        bad = ~predict(subject.classifier, place).isfinite().all(1)
        where += [f"{name} ({int(bad.sum())})"] if bad.any() else []
        broken |= bad
    return int(broken.sum()), ", ".join(where) or "nowhere"


def _in_the_ball(subject: Subject) -> Iterator[tuple[str, Tensor]]:
    examples, threat_model, seed = subject.few(FEW), subject.threat_model, subject.seed
    yield "clean", examples.inputs
    tilt = points.signs(examples, seed=seed, number=1)
    yield "off the pixel grid", (examples.inputs + OFF_GRID * tilt).clamp(0, 1)
    yield "noise", points.inside_ball(examples, threat_model, seed=seed, number=0)
    yield "corners of the ball", points.corner(examples, threat_model, seed=seed, number=0)
    yield "an attack's iterates", _climbed(subject)


def _elsewhere(subject: Subject) -> Iterator[tuple[str, Tensor]]:
    yield "random", points.anywhere(subject.few(FEW), seed=subject.seed)
    for name, level in (("black", 0.0), ("grey", 0.5), ("white", 1.0)):
        yield name, torch.full_like(subject.few(FEW).inputs, level)


def _climbed(subject: Subject) -> Tensor:
    """A few steps up the margin that go on over breaks; a point where logits are not finite is kept."""
    examples = subject.few(FEW)
    place = examples.inputs
    step = float(subject.threat_model.epsilon) / 2
    for _ in range(STEPS):
        seen = slope(
            subject.classifier, place, lambda logits, rows: losses.negative_margin(logits, examples.labels[rows])
        )
        heading = norms.direction(seen.gradient.nan_to_num(0.0, 0.0, 0.0), subject.threat_model.norm)
        moved = points.shifted(place, heading, step, examples, subject.threat_model)
        finite = seen.logits.isfinite().all(1)
        place = torch.where(finite[:, None, None, None], moved, place)
    return place


ENTRY = Check(
    id="R4",
    question="Are the logits finite wherever an attacker may go?",
    examine=_examine,
    next="Count such points as broken, find the operation that overflows, and attack again once it is repaired.",
    effort=20,
    short=3.5,
    needs_correct=False,
    of_stochastic="as it is",
)
