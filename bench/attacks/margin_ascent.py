"""Long ascents on the margin with momentum, from many starts: a second opinion on what a suite left robust.

Momentum as in Dong et al. 2018 (arXiv 1710.06081), waves of step lengths as in Loshchilov and Hutter 2017 (arXiv
1608.03983). It differs from APGD in every part: loss, step lengths, momentum, and starts, some of which are where the
same search ended on other models. No suite has it, so that its breaks are others'. OUR CHOICE of numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from bench.attacks.search import (
    Ball,
    BestSoFar,
    Logits,
    Loss,
    MomentumStep,
    Runs,
    ascend,
    gap,
    judge,
    predict,
    random_start,
    rank,
    untargeted,
)
from bench.core.types import Classifier, Examples, ThreatModel
from bench.ops import losses
from bench.ops.sampling import Stream

__all__ = ["MarginAscent", "Try"]

_DECAY = 0.75
_TRANSFERRED_STEPS = 50
_MARGIN = untargeted(losses.negative_margin)
_SHORTEST = 0.01
_WAVES = 3


def _falling(share: float) -> float:
    return 1 - share


def _steady(share: float) -> float:
    del share
    return 1 / 8


def _waving(share: float) -> float:
    return (1 + math.cos(math.pi * (share * _WAVES % 1))) / 2


_SCHEDULES: Mapping[str, Callable[[float], float]] = {"falling": _falling, "steady": _steady, "waving": _waving}
"""Length of a step in units of epsilon, by how far the ascent is, from 0 to 1; at least a hundredth."""


@dataclass(frozen=True, kw_only=True)
class Try:
    """One ascent.

    Args:
        schedule: of its step lengths.
        start: "random", or the name of the model that it is transferred from.
        target: which of the strongest other classes it climbs to, from 0; None for whichever is closest.
    """

    schedule: str
    start: str
    target: int | None = None

    def __str__(self) -> str:
        where = "the closest class" if self.target is None else f"class {self.target + 1} by strength"
        return f"{self.schedule} steps from {self.start} to {where}"


@dataclass(frozen=True, kw_only=True)
class MarginAscent:
    """The attack on some examples; what is found is kept between tries.

    Args:
        classifier: what is climbed, and decides.
        examples: what it attacks, at least one.
        threat_model: within which ball.
        surrogates: other models of the same data, by name.
        best: the best point of every example so far.
        steps: of every ascent.
    """

    classifier: Classifier
    examples: Examples
    threat_model: ThreatModel
    surrogates: Mapping[str, Classifier]
    best: BestSoFar
    steps: int = 200

    @classmethod
    def on(
        cls,
        classifier: Classifier,
        examples: Examples,
        threat_model: ThreatModel,
        *,
        surrogates: Mapping[str, Classifier],
        steps: int = 200,
    ) -> MarginAscent:
        """Begin with the clean inputs."""
        best, _ = BestSoFar.from_clean(classifier, examples)
        return cls(
            classifier=classifier,
            examples=examples,
            threat_model=threat_model,
            surrogates=surrogates,
            best=best,
            steps=steps,
        )

    def tries(self, seed: int) -> tuple[Try, ...]:
        """Of one round, in order: each start and each target once, under another schedule than in the last round."""
        return tuple(self._tries(seed))

    def _tries(self, seed: int) -> Iterator[Try]:
        schedules, others = tuple(_SCHEDULES), tuple(self.surrogates)
        for number in range(max(len(schedules), len(others))):
            schedule = schedules[(number + seed) % len(schedules)]
            if number < len(schedules):
                yield Try(schedule=schedule, start="random")
                yield Try(schedule=schedule, start="random", target=number)
            if number < len(others):
                yield Try(schedule=schedule, start=others[number])

    def note(self, points: Tensor) -> Tensor:
        """Take in a point of every example, found otherwise; return the positions that it breaks, int64 `(M,)`."""
        left = self.best.open()
        self.best.note(points, judge(predict(self.classifier, points), self.examples.labels))
        return left[self.best.best.broken[left]]

    def make(self, each: Try, *, seed: int) -> Tensor:
        """Try it on every example that is not broken yet; return the positions of those that broke, int64 `(M,)`."""
        left = self.best.open()
        if not len(left):
            return left
        part = self.examples[left]
        loss, targets = self._loss(each, part)
        start = self._start(each, part, seed)
        runs = Runs.at(start, self._rule(part, each.schedule, self.steps), part.labels, targets=targets, positions=left)
        ascend(Logits(classifier=self.classifier), runs, loss, steps=self.steps, best=self.best)
        return left[self.best.best.broken[left]]

    def _loss(self, each: Try, part: Examples) -> tuple[Loss, Tensor | None]:
        if each.target is None:
            return _MARGIN, None
        ranked = rank(predict(self.classifier, part.inputs), part.labels, each.target + 1)
        return gap, ranked[:, -1]

    def _start(self, each: Try, part: Examples, seed: int) -> Tensor:
        """A random point, or where a shorter ascent ends on another model."""
        key = f"margin-ascent {each.schedule} {each.target}"
        start = random_start(part, self.threat_model, Stream(seed=seed, attack=key))
        if each.start == "random":
            return start
        other = Logits(classifier=self.surrogates[each.start])
        runs = Runs.at(start, self._rule(part, "falling", _TRANSFERRED_STEPS), part.labels)
        # No verdict on the way: it goes on until the other model is surely wrong.
        return ascend(other, runs, _MARGIN, steps=_TRANSFERRED_STEPS).current

    def _rule(self, part: Examples, schedule: str, steps: int) -> MomentumStep:
        ball = Ball.around(part.inputs, self.threat_model)
        shares = (number / steps for number in range(steps))
        lengths = tuple(ball.radius * max(_SHORTEST, _SCHEDULES[schedule](share)) for share in shares)
        return MomentumStep.within(ball, lengths=lengths, decay=_DECAY)
