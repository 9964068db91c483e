"""How long the rest of an evaluation takes: one model of cost for the plan before it and the estimate during it.

Time is a sum over stages and groups of chunks. What a group costs follows from how many examples the stage will see in
it. That is known once the stages before it ran there, and expected otherwise: an example that anything broke is broken
by AutoAttack's first stages too, and of the others as many go on as withstood the probe's short attack. What a stage
costs per example is the probe's word until the run has measured it; stages still to come are corrected by how far the
run as a whole is from the probe.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.core.types import Attack, AuditRules, CascadeRules
from bench.evaluation.cascade import share_tried
from bench.evaluation.journal.chunks import chunks_of
from bench.evaluation.schedule import CLEAN, Stage

__all__ = ["IN_PASSES", "Costs", "Forecast", "StageCost", "Step", "share_of_broken"]

_Array = NDArray[np.float64]

_SOON_BROKEN = 0.2
"""Share of a stage's passes that an example takes which the stage breaks, where it leaves then; most break early.
Constraint relaxation takes 29 of 200 on pgd-at, CIFAR-10."""
_TRUST_IN_PROBE = 0.1
"""The probe's word that the pace did not change, against that of one stage that was measured at length."""
_AT_LENGTH = 2.0
"""Seconds from which a stage's pace has half a word: of short ones neither probe nor clock can say much."""


def share_of_broken(attack: Attack | None) -> float:
    """What an example that breaks costs beside one that holds."""
    return _SOON_BROKEN if attack is not None and attack.leaves_when_broken else 1.0


@dataclass(frozen=True, kw_only=True)
class StageCost:
    """Time of one stage, linear in the examples of a compute batch.

    Args:
        batch: of each batch, whatever is in it.
        example: of each example that withstands the stage.
        broken: of each example that it breaks, as a share of `example`.
    """

    batch: float
    example: float
    broken: float = 1.0

    def of(self, *, n_batches: float, n_held: float, n_broken: float) -> float:
        """Time of so many batches that hold so many examples in all."""
        return self.batch * n_batches + self.example * (n_held + self.broken * n_broken)


@dataclass(frozen=True, kw_only=True)
class Costs:
    """The cost of every stage, by its key.

    Args:
        stages: for the clean inputs and the stages of attacks; others are counted in passes.
        in_seconds: whether times are seconds; otherwise they are passes, whose length the run itself shows.
        per_pass: time of one pass of one example.
        clean: by official index, whether a probed example is classified correctly.
        robust: the same for whether it withstood a short attack; of correct examples only.
        per_break: time of packing one adversarial example for the row's evidence.
        after: time of what follows the attacks in this process alone: the short doctor.
        seconds: what the probe took.
    """

    stages: Mapping[str, StageCost]
    in_seconds: bool
    per_pass: float = 1.0
    clean: Mapping[int, bool] = field(default_factory=dict)
    robust: Mapping[int, bool] = field(default_factory=dict)
    per_break: float = 0.0
    after: float = 0.0
    seconds: float = 0.0

    def of(self, stage: Stage) -> StageCost:
        """What a stage costs."""
        known = self.stages.get(stage.key)
        if known is not None:
            return known
        passes = stage.attack.n_passes if stage.attack is not None else 1
        return StageCost(batch=0.0, example=self.per_pass * passes, broken=share_of_broken(stage.attack))


IN_PASSES = Costs(stages={}, in_seconds=False)
"""What is known without measuring."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A stage in the order of work.

    Args:
        stage: what runs.
        before: the stage whose survivors it sees; None for the clean inputs, which are all of them.
        selects: whether it sees only a part of them.
    """

    stage: Stage
    before: Stage | None
    selects: bool


@dataclass(kw_only=True)
class _Expected:
    """One stage: what is known of it, one item per example (NaN where nothing is), and what it took so far."""

    stage: Stage
    cost: StageCost
    attacked: _Array
    held: _Array
    rules: CascadeRules | AuditRules | None = None
    measured: float = 0.0
    predicted: float = 0.0
    fresh: bool = False


class Forecast:
    """Predicts the time that is left, and learns from every group of chunks that is done.

    Attributes:
        chunks: of the run.

    Args:
        attacks: of the suite.
        indices: of the examples in the official split, ascending.
        costs: what is known before the run.
        batch_size: most examples computed at once.
    """

    def __init__(self, attacks: Sequence[Attack], indices: Sequence[int], costs: Costs, *, batch_size: int) -> None:
        self._costs = costs
        self._batch_size = batch_size
        self._indices = indices
        self.chunks = chunks_of(indices)
        self._starts = np.array([chunk.start for chunk in self.chunks])
        self._depth = np.zeros(len(indices))
        self._fell = np.full(len(indices), np.inf)
        share = sum(costs.clean.values()) / len(costs.clean) if costs.clean else 1.0
        self._correct = np.array([float(costs.clean.get(index, share)) for index in indices])
        self._probed = np.array([index in costs.robust for index in indices], dtype=bool)
        self._withstood = np.array([float(costs.robust.get(index, False)) for index in indices])
        stages = [[CLEAN], *([Stage.of(attack, part) for part in attack.stages] for attack in attacks)]
        self._chains = [[self._expect(stage, costs.of(stage)) for stage in chain] for chain in stages]
        for attack, chain in zip(attacks, self._chains[1:], strict=True):
            rules = attack.cascade_rules
            if rules is not None:
                chain[rules.n_on_all].rules = rules
        self._extra: list[_Expected] = []

    @property
    def steps(self) -> Iterator[Step]:
        """Every stage in its order."""
        for number, chain in enumerate(self._chains):
            before: Stage | None = CLEAN if number else None
            selects = False
            for each in chain:
                selects = selects or each.rules is not None
                yield Step(stage=each.stage, before=before, selects=selects)
                before = each.stage

    def begin(
        self, stage: Stage, attacked: Sequence[bool], *, base: Stage | None = None, rows: slice = slice(None)
    ) -> None:
        """Say which examples a stage sees.

        Args:
            stage: that begins.
            attacked: one item per example of `rows`.
            base: for a second pass that nobody expected, the stage whose costs it has.
            rows: which examples are meant; all of them by default.
        """
        expected = self._find(stage.key)
        if expected is None:
            expected = self._expect(stage, self._costs.of(base or stage))
            self._extra.append(expected)
        expected.attacked[rows] = np.array(attacked, dtype=np.float64)

    def observe(self, stage: Stage, rows: slice, robust: Sequence[bool], seconds: float, *, reused: bool) -> None:
        """Say that a group of chunks is done; `begin` has said whom the stage saw in it.

        Args:
            stage: that ran.
            rows: where the group's examples stand.
            robust: one item for each of them: seen and not broken.
            seconds: that it took.
            reused: that was in an earlier run.
        """
        expected = self._find(stage.key)
        if expected is None or np.isnan(expected.attacked[rows]).any():
            raise ValueError(f"Expected `stage` to have begun, but got {stage.key}.")
        seen, held = expected.attacked[rows], np.array(robust, dtype=np.float64)
        expected.held[rows] = held
        order = next(number for number, each in enumerate(self._all()) if each is expected)
        self._depth[rows] = order + 1
        self._fell[rows] = np.where(seen > held, np.minimum(self._fell[rows], order), self._fell[rows])
        if not reused and not expected.fresh:
            expected.measured = expected.predicted = 0.0
            expected.fresh = True
        if reused is not expected.fresh:
            n_seen, n_held = float(seen.sum()), float(held.sum())
            cost = expected.cost.of(n_batches=self._batches([n_seen], True), n_held=n_held, n_broken=n_seen - n_held)
            expected.measured += seconds
            expected.predicted += cost

    def held(self, stage: Stage, rows: slice) -> Sequence[bool] | None:
        """Who withstood a stage in these rows, or None where that is not known."""
        expected = self._find(stage.key)
        part = expected.held[rows] if expected is not None else np.array([np.nan])
        return None if np.isnan(part).any() else [bool(value) for value in part]

    def remaining(self, n_workers: int = 1) -> float | None:
        """Seconds that what is not done will take; None while nothing was measured.

        Args:
            n_workers: how many share the stages; what follows them is done by one.
        """
        pace = self._pace([each for each in self._all() if each.fresh and each.predicted > 0])
        if pace is None:
            return None
        paces = {
            each.stage.key: each.measured / each.predicted
            for each in self._all()
            if each.predicted > 0 and (each.fresh or self._costs.in_seconds)
        }
        stages, n_breaks = self._predicted_left(paces, pace)
        return stages / n_workers + self._costs.after * pace + self._costs.per_break * n_breaks

    def _pace(self, fresh: Sequence[_Expected]) -> float | None:
        """How much longer than predicted a stage takes that was not measured yet; None where nobody can say.

        Against a probe's seconds every measured stage has a word, since probes err stage by stage.
        """
        if not self._costs.in_seconds:
            predicted = sum(each.predicted for each in fresh)
            return sum(each.measured for each in fresh) / predicted if predicted else None
        words = [(each.predicted / (each.predicted + _AT_LENGTH), each.measured / each.predicted) for each in fresh]
        logarithms = sum(weight * math.log(max(pace, 1e-3)) for weight, pace in words)
        return math.exp(logarithms / (sum(weight for weight, _ in words) + _TRUST_IN_PROBE))

    def _predicted_left(self, paces: dict[str, float], pace: float) -> tuple[float, float]:
        """Cost of all groups that are not done, stage by stage times its pace; and the examples broken in the end."""
        withstands = self._withstands()
        first = self._chains[0][0]
        correct, total = np.where(np.isnan(first.held), self._correct, first.held), 0.0
        total += self._left(first, np.ones(len(correct)), correct) * paces.get(CLEAN.key, pace)
        surviving = correct
        for chain in self._chains[1:]:
            entering, sifted = correct, np.zeros(len(correct), dtype=bool)
            for each in chain:
                if each.rules is not None:
                    entering = entering * share_tried(each.rules, float(entering.sum()))
                entering = np.where(np.isnan(each.attacked), entering, each.attacked)
                unknown = np.isnan(each.held)
                leaving = np.where(unknown, entering * np.where(sifted, 1.0, withstands), each.held)
                sifted |= unknown
                total += self._left(each, entering, leaving) * paces.get(each.stage.key, pace)
                entering = leaving
            surviving = np.minimum(surviving, entering)
        for each in self._extra:
            total += self._left(each, each.attacked, each.attacked) * paces.get(each.stage.key, pace)
        return total, float((correct - surviving).sum())

    def _left(self, each: _Expected, entering: _Array, leaving: _Array) -> float:
        """Cost of the chunks that the stage has not done."""
        todo = np.isnan(each.held[self._starts])
        seen, held = (np.add.reduceat(values, self._starts)[todo] for values in (entering, leaving))
        n_seen, n_held = float(seen.sum()), float(held.sum())
        n_batches = self._batches(seen.tolist(), each.stage.per_chunk)
        return each.cost.of(n_batches=n_batches, n_held=n_held, n_broken=n_seen - n_held)

    def _batches(self, seen: Sequence[float], alone: bool) -> float:
        """Compute batches of chunks with so many examples to see; chunks share one unless they have to be alone."""
        groups: list[float] = []
        for count in seen:
            if groups and not alone and groups[-1] + count <= self._batch_size:
                groups[-1] += count
            else:
                groups.append(count)
        return sum(max(min(1.0, count), count / self._batch_size) for count in groups)

    def _withstands(self) -> _Array:
        """How likely each example that is correct withstands a strong attack.

        For one that was not probed: as the probed ones that were left when as many stages had run on them.
        """
        chance = self._withstood.copy()
        for depth in np.unique(self._depth[~self._probed]):
            left = self._probed & (self._fell >= depth)
            left = left if left.any() else self._probed
            chance[~self._probed & (self._depth == depth)] = self._withstood[left].mean() if left.any() else 1.0
        return np.where(np.isinf(self._fell), chance, 0.0)

    def _expect(self, stage: Stage, cost: StageCost) -> _Expected:
        return _Expected(
            stage=stage,
            cost=cost,
            attacked=np.full(len(self._indices), np.nan),
            held=np.full(len(self._indices), np.nan),
        )

    def _all(self) -> Iterator[_Expected]:
        yield from (each for chain in self._chains for each in chain)
        yield from self._extra

    def _find(self, key: str) -> _Expected | None:
        return next((each for each in self._all() if each.stage.key == key), None)
