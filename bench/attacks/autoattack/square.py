"""Square: random search with square-shaped changes, which asks for logits only.

Andriushchenko, Croce, Flammarion and Hein 2020, "Square Attack: a query-efficient black-box adversarial attack via
random search", arXiv 1912.00049, algorithms 1 to 3. Query by query it follows the reference implementation
(pyautoattack), the oracle of the tests.

Differences: every example draws its own squares, by key, where the reference draws one for the whole batch (so that its
verdicts depend on the batch); windows may touch the last row and column, and the grid that L2 starts from fills the
image; an example is done when argmax says so, not when its margin is 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import ModuleType

import torch
from torch import Tensor

from bench.attacks.attack import UNRECORDED
from bench.attacks.autoattack import square_l2, square_linf
from bench.attacks.autoattack.reference import InPackage
from bench.attacks.autoattack.square_windows import QUERIES_PER_DRAW, Draws, KeyedDraws, l2_side, linf_side
from bench.attacks.autoattack.stage import AutoAttackStage
from bench.attacks.search import Ball, Best, BestSoFar, judge, pick, predict
from bench.core.types import Classifier, Examples, Finish, Norm, ThreatModel

__all__ = ["Square", "random_search"]


@dataclass(frozen=True, kw_only=True)
class Square(AutoAttackStage):
    """Random search with square-shaped updates; no gradients.

    Args:
        name: how rows call it.
        queries: forward passes per example.
        restarts: number of runs.
        initial_share: share of pixels that a square covers at the start.
        queries_only: search in float32 alone, so that no steps along a gradient follow.
    """

    name: str = "square"
    queries: int = 5_000
    restarts: int = 1
    initial_share: float = 0.8
    queries_only: bool = field(default=False, metadata=UNRECORDED)

    @property
    def needs_gradients(self) -> bool:
        """It asks for logits alone."""
        return False

    @property
    def finish(self) -> Finish | None:
        """As other stages, unless queries are all that is allowed."""
        return None if self.queries_only else super().finish

    @property
    def n_passes(self) -> int:
        return self.queries * self.restarts

    def _search(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        best, _ = BestSoFar.from_clean(classifier, examples)
        for restart in range(self.restarts):
            draws = KeyedDraws(seed=seed, restart=restart, channels=examples.inputs.shape[1])
            random_search(classifier, examples, threat_model, best, draws=draws, stage=self, restart=restart)
        return best.points

    @property
    def _in_package(self) -> InPackage:
        return InPackage("square", n_queries=self.queries, n_restarts=self.restarts, p_init=self.initial_share)


@dataclass(kw_only=True)
class _State:
    """Searches in progress; every field but the ball has one row per example.

    Args:
        positions: which example of the stage.
        runs: the number of the restart.
        indices: its position in the official split.
        labels: its class.
        ball: where it may move.
        found: the point of smallest margin, from which the next proposal starts.
    """

    positions: Tensor
    runs: Tensor
    indices: Tensor
    labels: Tensor
    ball: Ball
    found: Best


def random_search(
    classifier: Classifier,
    examples: Examples,
    threat_model: ThreatModel,
    best: BestSoFar,
    *,
    draws: Draws,
    stage: Square,
    restart: int = 0,
) -> None:
    """One run on the examples that are not broken yet, with the choices that `draws` makes."""
    state = _start(examples, threat_model, best.open(), draws, restart)
    if not len(state.positions):
        return
    moves = _moves(state.ball)
    proposal, plan = state.found.points, None
    for query in range(stage.queries + 1):  # the first evaluation is that of the start
        state.found.note(proposal, judge(predict(classifier, proposal), state.labels))
        rows = state.found.remaining(step=query)
        if rows is not None:
            best.settle(state)
            state = pick(state, rows)
            plan = None if plan is None else pick(plan, rows)
        if not len(state.positions) or query == stage.queries:
            break
        block, number = divmod(query, QUERIES_PER_DRAW)
        if plan is None or number == 0:
            sides = _sides(state.ball, query - number, stage)
            plan = moves.plan(draws.block(state.indices, block), sides, examples.inputs.shape[2:])
        proposal = moves.move(state.found.points, state.ball, plan, number)
    best.settle(state)


def _sides(ball: Ball, first: int, stage: Square) -> list[int]:
    """Sides of the windows of one block of queries."""
    side = linf_side if ball.norm is Norm.LINF else l2_side
    height, width = ball.center.shape[2:]
    return [side(query, stage.initial_share, height, width) for query in range(first, first + QUERIES_PER_DRAW)]


def _moves(ball: Ball) -> ModuleType:
    if ball.norm is Norm.L1:
        raise ValueError("Expected a ball of Linf or L2, but got one of L1, which Square has no moves for.")
    return square_linf if ball.norm is Norm.LINF else square_l2


def _start(examples: Examples, threat_model: ThreatModel, positions: Tensor, draws: Draws, restart: int) -> _State:
    chosen = examples[positions]
    ball = Ball.around(chosen.inputs, threat_model)
    return _State(
        positions=positions,
        runs=torch.full_like(positions, restart),
        indices=chosen.indices,
        labels=chosen.labels,
        ball=ball,
        found=Best.none_yet(_moves(ball).start(ball, draws, chosen.indices)),
    )
