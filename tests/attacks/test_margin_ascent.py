from __future__ import annotations

import pytest
import torch

from bench.attacks import MarginAscent
from bench.attacks.search import BestSoFar
from bench.core.types import Norm, ThreatModel
from bench.ops import losses, norms

SMALL = {Norm.LINF: ThreatModel.parse("Linf:1/1000"), Norm.L2: ThreatModel.parse("L2:1/200")}


@pytest.mark.parametrize("norm", list(SMALL))
def test_a_linear_margin_is_found(linear, examples_of, norm) -> None:
    """Every try of a round ends at a corner of the ball, and the closest class's is the smallest margin there is."""
    examples, epsilon = examples_of(linear), float(SMALL[norm].epsilon)
    ascent = MarginAscent.on(linear, examples, SMALL[norm], surrogates={"itself": linear}, steps=60)
    for each in ascent.tries(0):
        ascent.make(each, seed=0)
    weight, logits = linear[1].weight, linear(examples.inputs)
    falls = epsilon * torch.stack([norms.dual(weight[label] - weight, norm) for label in examples.labels.tolist()])
    margins = logits.gather(1, examples.labels[:, None]) - logits - falls
    exact = margins.scatter(1, examples.labels[:, None], torch.inf).amin(1)
    left = exact > 0
    assert left.sum() >= 30
    torch.testing.assert_close(ascent.best.best.margins[left], exact[left], rtol=0, atol=1e-5)


def test_a_round_is_each_start_and_target_once(linear, examples_of) -> None:
    """Three rounds have every schedule with every start and every target."""
    ascent = MarginAscent.on(linear, examples_of(linear), SMALL[Norm.L2], surrogates={"a": linear, "b": linear})
    rounds = [ascent.tries(seed) for seed in range(3)]
    assert [len(tries) for tries in rounds] == [8, 8, 8]
    for tries in rounds:
        assert sorted(each.target for each in tries if each.target is not None) == [0, 1, 2]
        assert [each.start for each in tries if each.start != "random"] == ["a", "b"]
    assert len({each for tries in rounds for each in tries}) == 3 * (1 + 3 + 2)
    assert str(rounds[0][1]) == "falling steps from random to class 1 by strength"


def test_what_breaks_is_told_once(network, examples_of) -> None:
    """By its position, at the first try that breaks it; a broken example is attacked no more."""
    examples = examples_of(network)
    ascent = MarginAscent.on(network, examples, ThreatModel.parse("Linf:1/4"), surrogates={}, steps=20)
    told = [ascent.make(each, seed=0).tolist() for each in ascent.tries(0)]
    positions = [position for each in told for position in each]
    assert len(positions) == len(set(positions)) > 0
    broken = losses.margin(network(ascent.best.points), examples.labels) < 0
    wrong = BestSoFar.from_clean(network, examples)[0].best.broken
    assert set(positions) == set((broken & ~wrong).nonzero().squeeze(1).tolist())
    assert ((ascent.best.points - examples.inputs).abs() <= 0.25 + 1e-6).all()


def test_what_another_search_breaks_counts(network, examples_of) -> None:
    """Its points are judged, and those that break are told once."""
    examples = examples_of(network)
    ascent = MarginAscent.on(network, examples, ThreatModel.parse("Linf:1/4"), surrogates={})
    points = (examples.inputs + 0.25).clamp(0, 1)
    wrong = (network(points).argmax(1) != examples.labels).nonzero().squeeze(1).tolist()
    assert ascent.note(points).tolist() == wrong != []
    assert ascent.note(points).tolist() == []
    assert torch.equal(ascent.best.points[wrong], points[wrong])
