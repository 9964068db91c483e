"""A short time on the real model and device that tell what a suite will cost there.

The examples' clean verdicts and a ten-step attack say how many will survive to the long stages. Each stage then runs in
small, at two lengths and on two batch sizes, on examples that survived; the differences give its seconds per step.
Constraint relaxation is counted in passes instead. The float32 steps after a search in lower precision are timed apart,
once for each kind of them: in a stage in small they would drown the steps that are to be timed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from bench.attacks import CW, PGD_20_STEP
from bench.core.errors import WorkFailedError
from bench.core.types import Attack, Examples, Finish
from bench.evaluation.cost.forecast import Costs, StageCost, share_of_broken
from bench.evaluation.execute import Runner
from bench.evaluation.journal.chunks import CHUNK_SIZE, chunks_of
from bench.evaluation.schedule import CLEAN, Stage
from bench.row.arrays import Breaks, compression_level

__all__ = ["Miniature", "Probe", "miniature"]

_SHORT_ATTACK = CW(name="probe", steps=10, relative_step_size=PGD_20_STEP, verdict_only=True)
"""On pgd-at, trades and ducat steps of a quarter of epsilon leave 4, 5 and 68 per cent more than AutoAttack does, of a
tenth 19, 36 and 137."""
_GRADIENTS = Stage(key="probe", attack=dataclasses.replace(_SHORT_ATTACK, steps=2))
_MOST_SIFTED = 4 * CHUNK_SIZE
_FEWEST = 4
_SHARE_FOR_SIFTING = 0.3
_SHORT, _TRIED = 1, 8
"""Steps: what a call costs beside them shows in one; from some more can be told how many there is time for."""
_FEWEST_LONG, _MOST_LONG = 3, 300
"""Steps that are then timed. The more, the less it matters that the difference of two timings is taken."""
_LEAST_SECONDS = 0.1
"""For each stage, whatever the limit: less would be a guess from a few ticks of a busy machine."""
_SMALL_BATCH = 4
"""How many times smaller the second batch size is."""
_CALLS = 10
"""How many of the shortest calls take as long as all calls on a batch size do, for the choice of the larger one."""
_LEAST_SLOPE = 0.1
"""Of what an example costs in the larger batch, at least so much it costs in any: two timings of few examples that
differ by chance would else make all others cost nothing."""
_FOR_FINISH = 4
"""Examples for the float32 steps, which nothing shortens; a row of fewer would cost much more than in the run."""
_REPEATS = 3
"""Of so many timings the median counts: one that a busy machine made long misleads nobody, and the quickest would be
the pace that a machine has at its best, which it does not keep."""
_CYCLES = "cycles"
"""Field of an attack whose runs end cycle by cycle."""
_LENGTHS = ("queries", "steps")
_COPIES = ("restarts", "targets")
"""Fields by which attacks say how long one search is, and how many they make."""


class Probe:
    """Measures the stages of a suite.

    Args:
        make_runner: a runner without journal for examples.
        examples: sorted by index; the first ones are used.
        n_classes: of the model.
        batch_size: most examples computed at once.
    """

    def __init__(
        self, make_runner: Callable[[Examples], Runner], examples: Examples, *, n_classes: int, batch_size: int
    ) -> None:
        self._make_runner = make_runner
        self._examples = examples
        self._n_classes = n_classes
        self._batch_size = batch_size

    def seconds_per_pass(self) -> float:
        """Seconds of one pass of one example, in the precision of a search; the median of some timings."""
        seconds = self._pace_of(self._examples[:_FEWEST])
        if seconds * 3 * CHUNK_SIZE < 0.5:  # quick enough for a batch as large as the run's
            seconds = self._pace_of(self._examples[:CHUNK_SIZE])
        return seconds

    def _pace_of(self, few: Examples) -> float:
        runner, everything = self._make_runner(few), [True] * len(few)
        runner.run(_GRADIENTS, everything)  # the first pass sets up kernels and memory
        runs = sorted((runner.run(_GRADIENTS, everything) for _ in range(_REPEATS)), key=lambda run: run.seconds)
        usual = runs[_REPEATS // 2]
        return usual.seconds / (usual.forwards + usual.backwards + len(few))  # and the verdict

    def measure(self, attacks: Sequence[Attack], *, per_pass: float, limit: float) -> Costs:
        """Costs of all stages of some attacks.

        Args:
            attacks: of a suite.
            per_pass: what `seconds_per_pass` said.
            limit: seconds that the probe may take, roughly; a slow model takes longer on the least there is to do.
        """
        start = time.perf_counter()
        half = _SHORT_ATTACK.steps  # of its passes: about half of the examples leave early
        n_sifted = _between(_SHARE_FOR_SIFTING * limit / (per_pass * half), _FEWEST, _MOST_SIFTED)
        sifted = self._examples[: max(n_sifted, 1)]
        runner = self._make_runner(sifted)
        everything = [True] * len(sifted)
        clean = runner.run(CLEAN, everything)
        held = runner.run(Stage(key="probe", attack=_SHORT_ATTACK), clean.robust).robust
        indices = sifted.indices.tolist()
        stages = {CLEAN.key: StageCost(batch=0.0, example=clean.seconds / len(sifted))}
        timing = _Timing(runner, indices, held, clean.robust, n_classes=self._n_classes, batch_size=self._batch_size)
        # Runs that end where nothing is near cannot be told from shortened ones: their passes are counted.
        parts = [(attack, part) for attack in attacks for part in attack.stages if _CYCLES not in _counts(part)]
        todo = [(Stage.of(attack, part), math.sqrt(part.n_passes)) for attack, part in parts]
        total = sum(weight for _, weight in todo)
        for stage, weight in todo:
            seconds = max(_LEAST_SECONDS, (1 - _SHARE_FOR_SIFTING) * limit * weight / total)
            with contextlib.suppress(WorkFailedError):  # passes are counted for it, and the run itself will say why
                stages[stage.key] = timing.cost(stage, seconds)
        correct = [position for position, right in enumerate(clean.robust) if right]
        return Costs(
            stages=stages,
            in_seconds=True,
            per_pass=per_pass,
            clean=dict(zip(indices, clean.robust, strict=True)),
            robust={indices[position]: held[position] for position in correct},
            per_break=_seconds_of_packing(runner.breaks, len(self._examples)),
            seconds=time.perf_counter() - start,
        )


class _Timing:
    """Times stages in small on examples that resemble those they will see."""

    def __init__(
        self,
        runner: Runner,
        indices: Sequence[int],
        held: Sequence[bool],
        correct: Sequence[bool],
        *,
        n_classes: int,
        batch_size: int,
    ) -> None:
        self._runner = runner
        self._indices = indices
        self._n_classes = n_classes
        self._batch_size = batch_size
        self._preferred = (held, correct, [True] * len(indices))
        self._finishes: dict[str, float] = {}

    def cost(self, stage: Stage, allowed: float) -> StageCost:
        """Of one batch and of one example that withstands the stage, measured for so many seconds."""
        together = chunks_of(self._indices)[0].rows.stop if stage.per_chunk else len(self._indices)
        suitable = self._suitable(range(together))
        large = self._large(stage, suitable, allowed)
        small = max(1, large // _SMALL_BATCH)
        share = large / (large + small)
        full = {large: self._seconds(stage, suitable[:large], share * allowed)}
        full[small] = self._seconds(stage, suitable[:small], (1 - share) * allowed) if small < large else full[large]
        each = full[large] / large
        slope = (full[large] - full[small]) / (large - small) if large > small else each
        slope = min(max(slope, _LEAST_SLOPE * each), each)
        finish = self._finish(stage, suitable[: min(large, _FOR_FINISH)])
        return StageCost(
            batch=full[large] - slope * large, example=slope + finish, broken=share_of_broken(stage.attack)
        )

    def _large(self, stage: Stage, suitable: list[int], allowed: float) -> int:
        """The largest batch, up to the run's, that can be timed in so many seconds; a row of a small one costs more."""
        size, most = min(_FEWEST, len(suitable)), min(len(suitable), self._batch_size)
        while size < most:
            self._time(stage, suitable[:size], _SHORT)  # sets up kernels for the batch size
            if 2 * _CALLS * self._time(stage, suitable[:size], _SHORT)[1] > allowed:
                break
            size = min(2 * size, most)
        return size

    def _suitable(self, positions: Sequence[int]) -> list[int]:
        """Of the best kind of example that there are two of: survivors, correct ones, any."""
        kinds = [[position for position in positions if kind[position]] for kind in self._preferred]
        return next((kind for kind in kinds if len(kind) > 1), kinds[-1])

    def _seconds(self, stage: Stage, positions: Sequence[int], allowed: float) -> float:
        """What the whole stage would take on these examples in one batch, timed for so many seconds."""
        self._time(stage, positions, _SHORT)  # the first call imports, and sets up kernels for the batch size
        short, less = self._typical(stage, positions, _SHORT)
        n_long = self._fitting(stage, positions, allowed) if less < allowed else _FEWEST_LONG
        long, more = self._typical(stage, positions, n_long)
        if long.n_full == 1:
            return more
        per_step = max(0.0, more - less) / (long.n_steps - short.n_steps)
        return max(0.0, less - per_step * short.n_steps) + per_step * long.n_full

    def _fitting(self, stage: Stage, positions: Sequence[int], allowed: float) -> int:
        """How many steps can be timed in so many seconds."""
        tried, seconds = self._time(stage, positions, _TRIED)
        return _between(allowed / _REPEATS / max(seconds, 1e-9) * tried.n_steps, _FEWEST_LONG, _MOST_LONG)

    def _finish(self, stage: Stage, positions: Sequence[int]) -> float:
        """Seconds of each example for the float32 steps at the end of a stage."""
        kind = stage.attack.finish if stage.attack is not None else None
        if kind is None or kind == "nothing":
            return 0.0
        if kind not in self._finishes:
            alone, all_of_it = (
                min(self._time(stage, positions, _SHORT, finished=finished)[1] for _ in range(2))
                for finished in (False, True)
            )
            self._finishes[kind] = max(0.0, all_of_it - alone) / len(positions)
        return self._finishes[kind]

    def _typical(self, stage: Stage, positions: Sequence[int], n_steps: int) -> tuple[Miniature, float]:
        """The median of some timings of the same work."""
        timings = [self._time(stage, positions, n_steps) for _ in range(_REPEATS)]
        return sorted(timings, key=lambda timing: timing[1])[_REPEATS // 2]

    def _time(
        self, stage: Stage, positions: Sequence[int], n_steps: int, *, finished: bool = False
    ) -> tuple[Miniature, float]:
        """Run the stage with so few steps, or whole where it has no more; its search alone unless `finished`."""
        if stage.attack is None:
            raise ValueError("Expected `stage` to be an attack's, but got the clean inputs.")
        small = miniature(stage.attack, n_steps, n_classes=self._n_classes)
        chosen = set(positions)
        attacked = [position in chosen for position in range(len(self._indices))]
        whole = finished or small.attack.finish is None
        attack = small.attack if whole else cast("Attack", _SearchAlone(small.attack))
        return small, self._runner.run(Stage(key="probe", attack=attack), attacked).seconds


def _seconds_of_packing(breaks: Breaks, n_examples: int) -> float:
    """What packing one of the run's breaks takes, told from a few of the probe's; `n_examples` may break at most."""
    few = breaks.pick(np.arange(len(breaks)) < _FEWEST)
    arrays = [array for array in (few.deltas, few.exact) if array.size]
    if not arrays:
        return 0.0
    n_bytes = sum(array.nbytes for array in arrays)
    start = time.perf_counter()
    for array in arrays:
        zlib.compress(array.tobytes(), compression_level(n_bytes // len(few) * n_examples))
    return (time.perf_counter() - start) / len(few)


def _between(value: float, least: int, most: int) -> int:
    return max(min(least, most), min(int(value), most))


class Miniature(NamedTuple):
    """A shortened attack.

    Attributes:
        attack: the attack with `n_steps` steps or queries, one restart and one target.
        n_steps: how many it takes.
        n_full: how many the whole attack takes, over all restarts and targets.
    """

    attack: Attack
    n_steps: int
    n_full: int


class _SearchAlone:
    """An attack without the float32 steps that follow its search in lower precision.

    Args:
        attack: one stage that has such steps.
    """

    def __init__(self, attack: Attack) -> None:
        self._attack = attack

    def __getattr__(self, name: str) -> Any:
        return getattr(self._attack, name)

    @property
    def finish(self) -> Finish | None:
        """No steps, but lower precision."""
        return "nothing"


def miniature(attack: Attack, n_steps: int, *, n_classes: int) -> Miniature:
    """Shorten an attack by the fields that attacks use for their length; one without them stays whole.

    Args:
        attack: one stage.
        n_steps: how many steps or queries to leave.
        n_classes: of the model; targets are at most the wrong classes.
    """
    values = _counts(attack)
    length = next((name for name in _LENGTHS if name in values), None)
    if length is None or values[length] <= n_steps:
        return Miniature(attack, 1, 1)
    n_full = values[length] * values.get("restarts", 1) * min(values.get("targets", 1), n_classes - 1)
    small = {length: n_steps, **{name: 1 for name in _COPIES if name in values}}
    return Miniature(_replaced(attack, small), n_steps, n_full)


def _counts(attack: Any) -> dict[str, int]:
    """The fields that are whole numbers above 0."""
    values = {field.name: getattr(attack, field.name) for field in dataclasses.fields(attack)}
    return {name: value for name, value in values.items() if type(value) is int and value > 0}


def _replaced(attack: Any, values: dict[str, int]) -> Attack:
    replaced: Attack = dataclasses.replace(attack, **values)
    return replaced
