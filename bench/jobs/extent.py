"""How many examples a run takes, and how long that will be: by the user's number, or by a budget of time."""

from __future__ import annotations

import bisect
import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench import suites
from bench.core.errors import BenchError
from bench.core.types import AuditRules
from bench.evaluation import IN_PASSES, Costs, Estimator, chunks_of
from bench.jobs.durations import in_short, in_words
from bench.row import Record

__all__ = ["Extent", "choose", "seconds_of_swift"]

_LONGEST_PROBE = 20.0
_SHARE_FOR_PROBE = 0.03
_USUAL_PROBE = 4.0
_SHARE_OF_A_LONG_RUN = 0.01
"""By how much more a long run is probed; both shares are of an upper bound, which is several times the run."""
_SHARE_OF_BUDGET_FOR_PROBE = 0.1
_WORTH_A_PROBE = 20.0
"""A run below so many seconds, at most, is not probed: it is done before anybody looks."""
_FEWEST = 4
_SOON = 1 / 10
"""Share of its passes that constraint relaxation takes of an example for its first ascent."""
_RESERVE = 1.1
"""The budget that an error proposes lies so far above the prediction, since the next probe will differ a little."""


@dataclass(frozen=True, kw_only=True)
class Extent:
    """What is planned.

    Args:
        n_examples: that are evaluated, the first ones.
        n_asked: that could have been: by `--samples`, by `--indices`, or all.
        budget_seconds: the time that was given; None where none was.
        predicted_seconds: what the run will take; None where nothing was measured.
        probe_seconds: what measuring took.
        costs: of every stage, for the estimate during the run: in passes where nothing was measured.
    """

    n_examples: int
    n_asked: int
    budget_seconds: float | None = None
    predicted_seconds: float | None = None
    probe_seconds: float = 0.0
    costs: Costs = IN_PASSES


def choose(estimator: Estimator, *, budget: float | None, notify: Callable[[str], None]) -> Extent:
    """Measure what the run costs and, under a budget, take the largest prefix of the examples that fits.

    Args:
        estimator: of the run on all examples that were asked for.
        budget: seconds, or None.
        notify: called with what was chosen, one line.

    Raises:
        BenchError: if not even a few examples fit the budget.
    """
    start = time.perf_counter()
    costs = _measure(estimator, budget)
    n_asked = len(estimator.plan.examples)
    if costs is None:
        return Extent(
            n_examples=n_asked,
            n_asked=n_asked,
            probe_seconds=time.perf_counter() - start,
            costs=estimator.with_what_follows(IN_PASSES, n_asked),
        )
    seconds = functools.partial(estimator.seconds, costs)
    spent = time.perf_counter() - start
    n_examples = (
        n_asked
        if budget is None
        else _largest(seconds, estimator.plan.examples.indices.tolist(), budget - spent, spent)
    )
    predicted = seconds(n_examples)
    notify(_words(n_examples, n_asked, predicted, budget))
    return Extent(
        n_examples=n_examples,
        n_asked=n_asked,
        budget_seconds=budget,
        predicted_seconds=predicted,
        probe_seconds=spent,
        costs=estimator.with_what_follows(costs, n_examples),
    )


def seconds_of_swift(record: Record, n_split: int) -> float | None:
    """About what `swift-v1` takes on a whole split, by what `standard-v1` took on a part of it.

    Its columns are that suite's; constraint relaxation ends soon on what breaks and on most of what does not, and its
    audit is AutoAttack on a part of the survivors.

    Args:
        record: a row, with the attacks of `standard-v1`.
        n_split: examples of the split.

    Returns:
        Seconds of one process like that of the row; None where the row says too little.
    """
    costs, result = {cost.name: cost for cost in record.cost.attacks}, record.result
    *columns, swift = suites.get("swift-v1").attacks
    known = [costs.get(name) for name in (*(column.name for column in columns), "autoattack")]
    passes = sum(cost.forwards + cost.backwards for cost in record.cost.attacks)
    if None in known or not passes or not isinstance(swift.cascade_rules, AuditRules):
        return None
    relaxed = swift.stages[0]
    soon = _SOON * relaxed.n_passes * result.n_clean + relaxed.n_passes * result.n_robust
    *shown, full = (cost.seconds for cost in known if cost is not None)
    per_pass = sum(cost.seconds for cost in record.cost.attacks) / passes
    audit = float(swift.cascade_rules.rate) * full
    return (sum(shown) + per_pass * soon + audit) * n_split / result.n_examples


def _measure(estimator: Estimator, budget: float | None) -> Costs | None:
    if budget is None and not estimator.most_seconds(1.0):
        return None  # the journal has all of it
    with estimator.probe() as probe:
        per_pass = probe.seconds_per_pass()
        most = estimator.most_seconds(per_pass)
        if budget is None and most < _WORTH_A_PROBE:
            return None
        limit = min(_LONGEST_PROBE, _USUAL_PROBE + _SHARE_OF_A_LONG_RUN * most)
        spared = _SHARE_FOR_PROBE * most if budget is None else _SHARE_OF_BUDGET_FOR_PROBE * budget
        limit = min(limit, spared)
        return probe.measure(estimator.plan.attacks, per_pass=per_pass, limit=limit)


def _largest(seconds: Callable[[int], float], indices: Sequence[int], left: float, spent: float) -> int:
    """The most examples that fit: whole chunks of the grid, or a part of the first."""
    ends = [chunk.rows.stop for chunk in chunks_of(indices)]
    fitting = _last_fitting(ends, seconds, left) or _last_fitting(range(1, ends[0]), seconds, left)
    few = min(_FEWEST, len(indices))
    if fitting is None or fitting < few:
        needed = seconds(few)
        raise BenchError(
            f"The budget is too small for {few} examples, which are predicted to take {in_words(needed)} after a probe"
            f" of {in_words(spent)}. Try --budget {in_short(_RESERVE * (needed + spent))}."
        )
    return fitting


def _last_fitting(counts: Sequence[int], seconds: Callable[[int], float], left: float) -> int | None:
    """The largest of ascending counts that takes at most `left` seconds; time grows with the count."""
    low = bisect.bisect_right(counts, left, key=seconds)
    return counts[low - 1] if low else None


def _words(n_examples: int, n_asked: int, predicted: float, budget: float | None) -> str:
    time_needed = f"predicted to take {in_words(predicted)}"
    if budget is None:
        return f"{n_examples} examples, {time_needed}."
    if n_examples < n_asked:
        return f"A budget of {in_short(budget)}: the first {n_examples} of {n_asked} examples, {time_needed}."
    return f"A budget of {in_short(budget)} is enough for all {n_asked} examples that were asked for, {time_needed}."
