"""FAB-T: walk along the decision boundary of one target class after another, towards the clean input.

Croce and Hein 2020, "Minimally distorted adversarial examples with a fast adaptive boundary attack", arXiv 1907.02044,
algorithm 1 in its targeted form. Step by step it follows the reference implementation (pyautoattack), the oracle of
the tests.

Differences: an example is done as soon as it is broken inside the ball, since a verdict needs no smaller distance;
hyperplane projections need no sort; the points at which gradients are taken count as candidates too; at the end of a
run the closest adversarial point, where it lies outside the ball, is brought back into it and judged once more.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.attacks.autoattack.hyperplane import move_onto_hyperplane
from bench.attacks.autoattack.reference import InPackage
from bench.attacks.autoattack.stage import AutoAttackStage
from bench.attacks.search import (
    Ball,
    Best,
    BestSoFar,
    Evaluated,
    Part,
    Verdict,
    batches,
    differentiate,
    gap,
    joined,
    judge,
    length,
    predict,
    rank,
)
from bench.core.types import Classifier, Examples, ThreatModel
from bench.ops import norms, sampling
from bench.ops.choosing import chosen_rows

__all__ = ["FabT"]

_SHORTEST_MOVE = 1e-8


@dataclass(frozen=True, kw_only=True)
class FabT(AutoAttackStage):
    """Targeted FAB: steps to the linearised decision boundary of each target, biased towards the input.

    Args:
        name: how rows call it.
        steps: number of steps for each target.
        restarts: number of starts for each target.
        targets: how many targets; at most the number of wrong classes.
        alpha_max: largest weight of the step from the original point.
        eta: overshoot over the boundary.
        beta: backward step after a success.
    """

    name: str = "fab-t"
    steps: int = 100
    restarts: int = 1
    targets: int = 9
    alpha_max: float = 0.1
    eta: float = 1.05
    beta: float = 0.9

    @property
    def n_passes(self) -> int:
        """Each step is two passes forwards and one back."""
        return 3 * self.steps * self.restarts * self.targets

    def _search(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        best, logits = BestSoFar.from_clean(classifier, examples)
        targets = rank(logits, examples.labels, self.targets)
        streams = [
            sampling.Stream(seed=seed, attack="fab-t", target=number, restart=restart)
            for number in range(targets.shape[1])
            for restart in range(self.restarts)
        ]
        for batch in batches(len(streams), best.open, size=len(examples)):
            _walk(classifier, _start(examples, threat_model, batch, streams, targets), best, self)
        return best.points

    @property
    def _in_package(self) -> InPackage:
        return InPackage(
            "fab",
            targeted=True,
            n_iter=self.steps,
            n_restarts=self.restarts,
            n_target_classes=self.targets,
            alpha_max=self.alpha_max,
            eta=self.eta,
            beta=self.beta,
        )


@dataclass(kw_only=True)
class _State:
    """Runs in progress; every field but the ball has one row per run.

    Args:
        positions: which example of the stage each run attacks.
        runs: the run's number.
        labels: its class.
        targets: the class whose boundary it follows.
        ball: where a break counts.
        current: the iterate.
        closest: the adversarial iterate nearest to the clean input, the clean input itself before there is one.
        distance: its distance, infinite before there is one.
        found: the best point inside the ball.
    """

    positions: Tensor
    runs: Tensor
    labels: Tensor
    targets: Tensor
    ball: Ball
    current: Tensor
    closest: Tensor
    distance: Tensor
    found: Best


def _start(
    examples: Examples,
    threat_model: ThreatModel,
    batch: list[Part],
    streams: Sequence[sampling.Stream],
    targets: Tensor,
) -> _State:
    """A batch of runs at the clean inputs, those of restarts near them; `targets` `(N, T)` has a column per target."""
    positions, runs = joined(batch)
    chosen = examples[positions]
    ball = Ball.around(chosen.inputs, threat_model)
    return _State(
        positions=positions,
        runs=runs,
        labels=chosen.labels,
        targets=torch.cat([targets[part.positions, streams[part.run].target] for part in batch]),
        ball=ball,
        current=torch.cat([_first(examples[part.positions], threat_model, streams[part.run]) for part in batch]),
        closest=chosen.inputs,
        distance=chosen.inputs.new_full((len(chosen),), float("inf")),
        found=Best.none_yet(chosen.inputs),
    )


def _first(chosen: Examples, threat_model: ThreatModel, stream: sampling.Stream) -> Tensor:
    if stream.restart == 0:
        return chosen.inputs
    ball = Ball.around(chosen.inputs, threat_model)
    return ball.project(chosen.inputs + 0.5 * ball.surface_noise(stream, chosen.indices))


def _walk(classifier: Classifier, state: _State, best: BestSoFar, stage: FabT) -> None:
    """Iterate, and enter the best points inside the ball."""
    for step in range(stage.steps):
        if not len(state.positions):
            return
        objective = functools.partial(gap, labels=state.labels, targets=state.targets)
        seen = differentiate(classifier, state.current, objective)
        _enter(state, judge(seen.logits, state.labels))
        state.current = _toward_boundary(state, seen, stage)
        verdict = judge(predict(classifier, state.current), state.labels)
        _enter(state, verdict)
        _step_back(state, verdict, stage.beta)
        state = best.dismiss(state, step=step)
    if len(state.positions):
        nearest = state.ball.project(state.closest)
        state.found.note(nearest, judge(predict(classifier, nearest), state.labels))
        best.settle(state)


def _toward_boundary(state: _State, seen: Evaluated, stage: FabT) -> Tensor:
    """The next iterate: a mean of the moves from the iterate and from the clean input onto the linearised boundary."""
    center, current = state.ball.center, state.current
    weights = seen.gradient.flatten(1)  # (N, D)
    starts = torch.stack((current.flatten(1), center.flatten(1)))  # (2, N, D)
    across = ((center - current).flatten(1) * weights).sum(dim=1)
    residual = torch.stack((seen.values, seen.values + across))
    moves = move_onto_hyperplane(starts, weights, residual, state.ball.norm)
    lengths = length(moves.flatten(0, 1), state.ball.norm).clamp_min(_SHORTEST_MOVE).reshape(2, -1)
    pull = (lengths[0] / (lengths[0] + lengths[1])).clamp_max(stage.alpha_max)
    pull = norms.per_example(pull, current)
    from_current, from_center = moves.reshape(2, *current.shape)
    ahead = (current + stage.eta * from_current) * (1 - pull) + (center + stage.eta * from_center) * pull
    return torch.clamp(ahead, 0, 1)


def _enter(state: _State, verdict: Verdict) -> None:
    """Note the iterate where it lies inside the ball, and as the closest where it is adversarial."""
    distance = state.ball.distance(state.current)
    state.found.note(state.current, verdict, allowed=distance <= state.ball.radius)
    closer = verdict.broken & (distance < state.distance)
    state.closest = chosen_rows(closer, state.current, state.closest)
    state.distance = torch.where(closer, distance, state.distance)


def _step_back(state: _State, verdict: Verdict, beta: float) -> None:
    """Draw adversarial iterates towards the clean input."""
    center = state.ball.center
    state.current = chosen_rows(verdict.broken, center + beta * (state.current - center), state.current)
