from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from bench.attacks.search.ball import Ball
from bench.attacks.search.best_so_far import BestSoFar
from bench.attacks.search.projected_gradient import Logits, Runs, ascend, untargeted
from bench.attacks.search.step_rules import FixedStep, HalvingStep, MomentumStep
from bench.core.types import Examples, Norm, ThreatModel
from bench.ops import losses, norms

SMALL = {Norm.LINF: ThreatModel.parse("Linf:1/1000"), Norm.L2: ThreatModel.parse("L2:1/200")}
MARGIN = untargeted(losses.negative_margin)


@dataclass(kw_only=True)
class Still:
    """A rule that never moves."""

    def step(self, current: Tensor, values: Tensor, gradient: Tensor, *, number: int) -> Tensor:
        return current


@pytest.mark.parametrize("norm", [Norm.LINF, Norm.L2])
@pytest.mark.parametrize("kind", ["fixed", "halving", "momentum"])
def test_all_rules_reach_the_corner_of_a_linear_classifier(linear, examples_of, record, norm, kind) -> None:
    """Of two classes, the least margin in the ball is the clean one less epsilon times a dual norm."""
    seen = record(lambda inputs: linear(inputs)[:, :2])
    given = examples_of(linear)
    examples = Examples(inputs=given.inputs, labels=linear(given.inputs)[:, :2].argmax(1), indices=given.indices)
    ball, best = Ball.around(examples.inputs, SMALL[norm]), BestSoFar(examples.inputs)
    rule = {
        "fixed": FixedStep(ball=ball, length=ball.radius),
        "halving": HalvingStep.within(ball, steps=10),
        "momentum": MomentumStep.within(ball, lengths=(ball.radius,) * 10, decay=0.75),
    }[kind]
    ascend(Logits(classifier=seen), Runs.at(examples.inputs, rule, examples.labels), MARGIN, steps=10, best=best)
    weight = linear[1].weight[:2]
    slope = norms.dual((weight[0] - weight[1])[None], norm)
    clean = losses.margin(linear(examples.inputs)[:, :2], examples.labels)
    left = clean > 2 * ball.radius * slope
    torch.testing.assert_close(best.best.margins[left], (clean - ball.radius * slope)[left], rtol=0, atol=1e-5)
    assert left.sum() >= 30
    assert len(seen.seen) == 11


def test_where_the_last_iterate_counts_it_is_not_looked_at(network, examples_of, record) -> None:
    """One pass for each step, and nothing leaves, broken or not."""
    examples, seen = examples_of(network), record(network)
    wrong = (examples.labels + 1) % 5
    runs = ascend(Logits(classifier=seen), Runs.at(examples.inputs, Still(), wrong), MARGIN, steps=3)
    assert torch.equal(runs.current, examples.inputs)
    assert [len(each) for each in seen.seen] == [len(examples)] * 3


def test_an_example_leaves_once_it_is_broken(network, examples_of, record) -> None:
    """What is broken where it starts takes one pass; the others go on, and the last iterate is judged too."""
    examples, seen = examples_of(network, count=8), record(network)
    labels = torch.where(torch.arange(8) < 3, (examples.labels + 1) % 5, examples.labels)
    best = BestSoFar(examples.inputs)
    left = ascend(Logits(classifier=seen), Runs.at(examples.inputs, Still(), labels), MARGIN, steps=2, best=best)
    assert [len(each) for each in seen.seen] == [8, 5, 5]
    assert best.best.broken.tolist() == [True] * 3 + [False] * 5
    assert left.positions.tolist() == [3, 4, 5, 6, 7]
