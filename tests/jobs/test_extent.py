"""How many examples a budget buys, on a run whose costs are planted."""

from __future__ import annotations

import contextlib
import dataclasses
from types import SimpleNamespace

import pytest
import torch

from bench.core.errors import BenchError
from bench.core.types import Examples
from bench.evaluation.cost.forecast import Costs
from bench.jobs.durations import parse_duration
from bench.jobs.extent import choose


class Planted:
    """A prospect on examples from `start` on, each of which takes a second."""

    def __init__(self, count=1000, start=0, per_example=1.0, fixed=0.0, most=1e6):
        examples = Examples(
            inputs=torch.zeros(count, 1, 1, 1), labels=torch.zeros(count), indices=torch.arange(start, start + count)
        )
        self.plan = SimpleNamespace(examples=examples, attacks=())
        self.per_example, self.fixed, self.most = per_example, fixed, most
        self.limits = []

    def most_seconds(self, per_pass):
        return self.most

    @contextlib.contextmanager
    def probe(self):
        yield self

    def seconds_per_pass(self):
        return 1e-3

    def measure(self, attacks, *, per_pass, limit):
        self.limits.append(limit)
        return Costs(stages={}, in_seconds=True)

    def seconds(self, costs, count):
        return self.fixed + self.per_example * count

    def with_what_follows(self, costs, count):
        return dataclasses.replace(costs, after=float(count))


def chosen(planted, budget):
    told = []
    return choose(planted, budget=budget, notify=told.append), told


@pytest.mark.parametrize(
    ("budget", "start", "count"),
    [(600, 0, 576), (64.5, 0, 64), (900, 100, 860), (30, 0, 29), (30, 100, 28), (10, 0, 9)],
)
def test_the_largest_prefix_that_fits(budget, start, count):
    """Whole chunks of the grid, which is anchored at 0; a part of the first where not even that fits."""
    extent, told = chosen(Planted(start=start), budget)
    assert extent.n_examples == extent.predicted_seconds == count <= budget
    (line,) = told
    assert f"the first {extent.n_examples} of 1000 examples, predicted to take" in line


def test_what_was_asked_for_decides_where_it_is_less():
    """And it is said that the budget would allow it."""
    extent, told = chosen(Planted(count=64), 600)
    assert (extent.n_examples, extent.n_asked) == (64, 64)
    assert told == ["A budget of 10m is enough for all 64 examples that were asked for, predicted to take 64 seconds."]


def test_a_budget_too_small_names_one_that_is_enough():
    """Which it then is."""
    with pytest.raises(BenchError, match="too small for 4 examples, which are predicted to take 1") as caught:
        chosen(Planted(per_example=25), 60)
    proposed = str(caught.value).rpartition("--budget ")[2].rstrip(".")
    assert chosen(Planted(per_example=25), parse_duration(proposed))[0].n_examples >= 4


def test_fewer_than_a_few_examples_are_enough_if_there_are_no_more():
    """Three of three."""
    assert chosen(Planted(count=3), 3.5)[0].n_examples == 3


def test_the_probe_is_short_beside_the_budget():
    """A tenth of it at most, and never more than some seconds; a little more where the run is long."""
    planted = Planted(per_example=0.01)
    for budget, most in ((10, 1e6), (1e5, 1e6), (1e5, 1000), (None, 1e6), (None, 1000), (None, 50)):
        planted.most = most
        chosen(planted, budget)
    assert planted.limits == [1.0, 20.0, 14.0, 20.0, 14.0, 1.5]


def test_a_run_that_is_over_soon_is_not_measured():
    """Without a budget and below half a minute nobody waits for a prediction."""
    planted = Planted(most=5)
    extent, told = chosen(planted, None)
    assert (extent.n_examples, extent.predicted_seconds, told, planted.limits) == (1000, None, [], [])
    assert not extent.costs.in_seconds and extent.costs.after == 1000, "what follows the attacks is counted in passes"


def test_a_run_that_the_journal_has_is_not_measured(monkeypatch):
    """There is nothing to predict, and a probe would take longer than the run."""
    planted = Planted(most=0.0)
    monkeypatch.setattr(planted, "probe", lambda: pytest.fail("it was probed"))
    extent, told = chosen(planted, None)
    assert (extent.n_examples, extent.predicted_seconds, told) == (1000, None, [])


def test_a_long_run_without_a_budget_says_how_long():
    """All examples, and the time."""
    extent, told = chosen(Planted(), None)
    assert extent.n_examples == 1000 and extent.costs.in_seconds and extent.costs.after == 1000
    assert told == ["1000 examples, predicted to take 16.7 minutes."]
