"""APGD on cross-entropy and on the targeted DLR loss: projected gradient ascent that sets its own step size.

Croce and Hein 2020, "Reliable evaluation of adversarial robustness with an ensemble of diverse parameter-free attacks",
arXiv 2003.01690, algorithm 1. Step by step it follows the reference implementation (pyautoattack), which the tests use
as oracle.

Differences: random starts are keyed per example; an example leaves as soon as it is broken; the gradient after the
last step, which nothing uses, is not taken; the returned iterate is the one of smallest margin.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bench.attacks.search.apgd_state import ApgdState
from bench.attacks.search.ball import Ball
from bench.attacks.search.batching import Part, joined, waves
from bench.attacks.search.best_so_far import Ledger, judge, open_ledger
from bench.attacks.search.checkpoints import windows
from bench.attacks.search.gradients import differentiate, predict
from bench.attacks.search.targets import rank, targeted_loss
from bench.core.types import Classifier, Examples, ThreatModel
from bench.ops import losses, sampling

if TYPE_CHECKING:
    from bench.attacks.autoattack.stages import ApgdCe, ApgdT

__all__ = ["cross_entropy_search", "targeted_search"]

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Of logits `(N, K)`, labels `(N,)` and targets `(N,)`; one value per example, to be raised."""


def cross_entropy_search(
    classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, stage: ApgdCe, seed: int
) -> Tensor:
    """APGD-CE: the best iterate of each example, `(N, C, H, W)`.

    Args:
        classifier: the model.
        examples: what to attack.
        threat_model: within which ball.
        stage: the numbers of the attack.
        seed: of the random starts.
    """
    ledger, _ = open_ledger(classifier, examples)
    streams = [sampling.Stream(seed=seed, attack="apgd-ce", restart=restart) for restart in range(stage.restarts)]
    for wave in waves(len(streams), ledger.open, size=len(examples)):
        state = _start(examples, threat_model, wave, streams, targets=examples.labels[:, None])
        _climb(classifier, state, ledger, _untargeted, stage)
    return ledger.points


def targeted_search(
    classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, stage: ApgdT, seed: int
) -> Tensor:
    """APGD-T: as `cross_entropy_search`, towards each of the strongest other classes in turn."""
    ledger, logits = open_ledger(classifier, examples)
    targets = rank(logits, examples.labels, stage.targets)
    streams = [
        sampling.Stream(seed=seed, attack="apgd-t", target=number, restart=restart)
        for number in range(targets.shape[1])
        for restart in range(stage.restarts)
    ]
    for wave in waves(len(streams), ledger.open, size=len(examples)):
        state = _start(examples, threat_model, wave, streams, targets=targets)
        _climb(classifier, state, ledger, targeted_loss, stage)
    return ledger.points


def _untargeted(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    del targets
    return losses.cross_entropy(logits, labels)


def _start(
    examples: Examples,
    threat_model: ThreatModel,
    wave: list[Part],
    streams: Sequence[sampling.Stream],
    *,
    targets: Tensor,
) -> ApgdState:
    """A wave of runs, each at a random point on the surface of its ball (clipped to [0, 1]).

    Column `t` of `targets` `(N, T)` is what runs of target number `t` move to.
    """
    positions, runs = joined(wave)
    chosen = examples[positions]
    ball = Ball.around(chosen.inputs, threat_model)
    noise = [ball.surface_noise(streams[part.run], examples.indices[part.positions]) for part in wave]
    return ApgdState.at(
        ball.project(chosen.inputs + torch.cat(noise)),
        ball,
        positions=positions,
        runs=runs,
        labels=chosen.labels,
        targets=torch.cat([targets[part.positions, streams[part.run].target] for part in wave]),
    )


def _climb(classifier: Classifier, state: ApgdState, ledger: Ledger, loss: Loss, stage: ApgdCe | ApgdT) -> None:
    """Take the stage's steps from where the runs start, and enter the best iterates into the ledger."""
    checkpoints = windows(stage.steps)
    for step in range(stage.steps + 1):  # the first evaluation is that of the start
        if not len(state.positions):
            return
        if step == stage.steps:
            state.found.note(state.current, judge(predict(classifier, state.current), state.labels))
            break
        objective = functools.partial(_objective, loss=loss, state=state)
        seen = differentiate(classifier, state.current, objective)
        state.found.note(state.current, judge(seen.logits, state.labels))
        state.observe(seen.values, seen.gradient, first=step == 0)
        if step in checkpoints:
            state.check(window=checkpoints[step], rho=stage.rho)
        state = ledger.dismiss(state, step=step)
        state.advance(first=step == 0)
    ledger.settle(state)


def _objective(logits: Tensor, *, loss: Loss, state: ApgdState) -> Tensor:
    return loss(logits, state.labels, state.targets)
