"""Brackets of smallest perturbations, against models for which they are known in closed form."""

from __future__ import annotations

import pytest
import torch

from bench.analysis.brackets import Bisection, Brackets
from bench.analysis.radial import distance, inside_radius
from bench.core.types import Norm, ThreatModel
from bench.evaluation.counting import CountingClassifier

CEILING = ThreatModel.parse("Linf:8/100")


def untouched(examples, radius):
    """Nothing known but which examples are wrong."""
    wrong = radius <= 0
    zeros = torch.zeros(len(examples), dtype=torch.float64)
    return Brackets(
        lower=zeros,
        upper=torch.where(wrong, 0.0, torch.inf).double(),
        points=examples.inputs.clone(),
    )


def started(examples, radius, epsilon):
    """What a perfect suite says at `epsilon`."""
    known = untouched(examples, radius)
    robust = radius > epsilon
    return Brackets(
        lower=known.lower.masked_fill(robust, epsilon),
        upper=known.lower.masked_fill(robust, torch.inf).masked_fill((radius > 0) & ~robust, epsilon),
        points=known.points,
    )


def test_brackets_close_round_the_exact_radius_of_a_linear_model(linear, examples, exact_radius):
    """Both ends hold, and many rounds leave little between them."""
    radius = exact_radius.double()
    search = Bisection(ceiling=CEILING, rounds=12, steps=20, targets=2, seed=0)
    found, _ = search.narrow(linear, examples, started(examples, radius, 0.01), passes=1e9)
    wrong = radius <= 0
    assert wrong.sum() == 2
    assert (found.upper[wrong] == 0).all()
    assert (found.upper[~wrong] >= radius[~wrong] * (1 - 1e-5)).all()
    assert (found.lower[~wrong] <= radius[~wrong] * (1 + 3e-4)).all()
    assert (found.upper[~wrong] - found.lower[~wrong] < 2e-4).all()


def test_the_upper_end_is_the_distance_of_a_point_that_breaks(linear, examples, exact_radius):
    """Every finite upper end has its witness."""
    radius = exact_radius
    search = Bisection(ceiling=CEILING, rounds=4, steps=10, targets=2, seed=0)
    found, _ = search.narrow(linear, examples, started(examples, radius, 0.01), passes=1e9)
    broken = torch.isfinite(found.upper) & (found.upper > 0)
    witnessed = distance(found.points, examples, Norm.LINF)
    at_start = found.upper == 0.01  # what the suite said without showing a point, if nothing nearer was found
    assert (broken & ~at_start).sum() > 8
    assert torch.equal(witnessed[broken & ~at_start], found.upper[broken & ~at_start])
    assert (linear(found.points).argmax(1) != examples.labels)[broken & ~at_start].all()


def test_the_search_never_contradicts_what_is_known(linear, examples, exact_radius):
    """What withstood epsilon keeps a lower end there, what broke keeps its upper end."""
    radius = exact_radius
    known = started(examples, radius, 0.01)
    found, _ = Bisection(ceiling=CEILING, rounds=8, steps=10, targets=2, seed=0).narrow(
        linear, examples, known, passes=1e9
    )
    assert (found.lower >= known.lower).all()
    assert (found.upper <= known.upper).all()
    assert (found.upper[known.lower == 0.01] > 0.01).all()


@pytest.mark.parametrize("passes", [0, 100, 500, 2000])
def test_it_takes_no_more_passes_than_it_may(linear, examples, exact_radius, passes):
    """And it reports what it took."""
    counted = CountingClassifier(linear)
    radius = exact_radius
    search = Bisection(ceiling=CEILING, rounds=9, steps=10, targets=2, seed=0)
    _, taken = search.narrow(counted, examples, started(examples, radius, 0.01), passes=passes)
    assert taken <= passes
    # Verdicts of confirmed points are passes as well; the outer counter sees every one of them.
    assert sum(counted.passes) == taken


def test_more_passes_give_narrower_brackets(linear, examples, exact_radius):
    """The bound on passes is what limits the search, not the number of rounds."""
    radius = exact_radius
    search = Bisection(ceiling=CEILING, rounds=9, steps=10, targets=2, seed=0)
    widths = []
    for passes in (200, 2000):
        found, _ = search.narrow(linear, examples, started(examples, radius, 0.01), passes=passes)
        widths.append(float((found.upper.clamp_max(1) - found.lower).sum()))
    assert widths[1] < widths[0]


@pytest.mark.parametrize("norm", list(Norm))
def test_projection_leaves_no_point_outside_its_own_ball(examples, norm):
    """Each example has its own radius, and points stay in [0, 1]."""
    radius = torch.linspace(0.001, 0.4, len(examples), dtype=torch.float64)
    far = examples.inputs + torch.randn(examples.inputs.shape, generator=torch.Generator().manual_seed(2))
    moved = inside_radius(far, examples, radius, norm)
    assert (distance(moved, examples, norm) <= radius * (1 + 1e-6)).all()
    assert ((moved >= 0) & (moved <= 1)).all()
    kept = examples.inputs + 1e-6
    assert torch.equal(inside_radius(kept, examples, radius.clamp_min(0.1), norm), kept)


def test_a_model_with_l2_balls(linear, examples):
    """In L2 the exact radius is the margin over the L2 norm of the difference of rows."""
    logits = linear(examples.inputs)
    gaps = linear.weight[examples.labels][:, None] - linear.weight[None]
    radius = (logits.gather(1, examples.labels[:, None]) - logits) / gaps.norm(dim=2).clamp_min(1e-12)
    radius = radius.scatter(1, examples.labels[:, None], torch.inf).amin(1).clamp_min(0).double()
    known = started(examples, radius, 0.05)
    search = Bisection(ceiling=ThreatModel.parse("L2:0.8"), rounds=12, steps=20, targets=2, seed=0)
    found, _ = search.narrow(linear, examples, known, passes=1e9)
    right = radius > 0
    assert (found.upper[right] >= radius[right] * (1 - 1e-5)).all()
    assert (found.upper[right] - found.lower[right] < 2e-3).all()
    assert (found.lower[right] <= radius[right] * (1 + 3e-4)).all()
