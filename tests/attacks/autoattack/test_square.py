from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from pyautoattack.square import SquareAttack
from torch.nn.functional import pad

from bench.attacks.autoattack import Square, square_linf
from bench.attacks.autoattack.square import random_search
from bench.attacks.autoattack.square_l2 import pattern
from bench.attacks.autoattack.square_windows import (
    QUERIES_PER_DRAW,
    Choices,
    KeyedDraws,
    l2_side,
    linf_side,
    share,
)
from bench.attacks.search.best_so_far import BestSoFar
from bench.core.types import Norm, ThreatModel

GENTLE = {Norm.LINF: ThreatModel.parse("Linf:1/100"), Norm.L2: ThreatModel.parse("L2:1/20")}


def reference(**changes):
    options = {"norm": "Linf", "eps": 0.1, "n_queries": 5000, "p_init": 0.8, "resc_schedule": False, "seed": 0}
    return SquareAttack(**{"predict": lambda inputs: inputs, "device": "cpu", **options, **changes})


def test_the_schedule_is_that_of_the_reference() -> None:
    """Each of 10,000 queries covers the same share of the image as pyautoattack's."""
    theirs = reference()
    assert all(share(query, 0.8) == theirs.p_selection(query) for query in range(10_000))


def test_sides_fit_the_image() -> None:
    """Squares are at least one pixel, L2 windows odd, and none is larger than the image."""
    assert {linf_side(query, 0.8, 8, 8) for query in range(9000)} <= set(range(1, 9))
    assert {l2_side(query, 0.8, 32, 32) for query in (0, 100, 9000)} == {29, 15, 3}
    assert l2_side(0, 0.8, 2, 5) == 2


@pytest.mark.parametrize("side", [1, 2, 3, 6, 7, 15])
def test_the_pattern_is_that_of_the_reference(side) -> None:
    """L2's window pattern equals pyautoattack's `eta`, up to its random transposition."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = reference(norm="L2").eta(side)
    ours = pattern(side, torch.device("cpu"))
    same = [torch.allclose(each, theirs, atol=1e-6) for each in (ours, ours.T)]
    assert any(same)


@dataclass(frozen=True)
class Replayed:
    """The choices that pyautoattack makes from torch's generator, in its order, for a batch of one."""

    norm: Norm
    channels: int
    length: int
    initial_share: float

    def first(self, indices, shape):
        assert len(indices) == 1
        if self.norm is Norm.LINF:
            return torch.rand(1, *shape)
        down, across, _ = shape
        numbers = torch.zeros(1, *shape)
        for row in range(down):
            for column in range(across):
                numbers[0, row, column, 0] = 0.0 if torch.rand([1]) > 0.5 else 1.0
                numbers[0, row, column, 1:] = torch.rand(1, self.channels, 1, 1).flatten()
        return numbers

    def block(self, indices, number):
        assert len(indices) == 1
        queries = range(number * QUERIES_PER_DRAW, (number + 1) * QUERIES_PER_DRAW)
        places, transposed, signs = zip(*(self._window(query) for query in queries), strict=True)
        return Choices(
            places=torch.tensor([places]), transposed=torch.tensor([transposed]), signs=torch.stack(signs)[None]
        )

    def _window(self, query):
        if self.norm is Norm.LINF:
            side = linf_side(query, self.initial_share, self.length, self.length)
            places = [self._place(side), self._place(side), 0.0, 0.0]
            return places, False, self._signs()
        side = l2_side(query, self.initial_share, self.length, self.length)
        places = [self._place(side) for _ in range(4)]
        transposed = bool(torch.rand([1]) > 0.5)
        return places, transposed, self._signs()

    def _signs(self):
        return torch.sign(2 * torch.rand(self.channels) - 1)

    def _place(self, side):
        """Their window's first row, as the number from which ours follows."""
        row = int((self.length - side) * torch.rand([1]))
        return (row + 0.5) / (self.length - side + 1)


@pytest.mark.parametrize("norm", [Norm.LINF, Norm.L2])
@pytest.mark.parametrize("number", [0, 7])
def test_queries_are_those_of_the_reference(net, digits, record, norm, number) -> None:
    """Given the same random choices, every query of one example is the same point as pyautoattack's."""
    threat_model, queries = GENTLE[norm], 2 * QUERIES_PER_DRAW
    examples = replace(digits, inputs=pad(digits.inputs, (1, 1, 1, 1)))[number : number + 1]  # 10 x 10: five tiles of 2

    def classifier(inputs):
        return net(inputs[:, :, 1:-1, 1:-1])

    ours, theirs = record(classifier), record(classifier)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        attack = reference(
            predict=theirs, norm=str(norm), eps=float(threat_model.epsilon), n_queries=queries, p_init=0.8
        )
        attack.init_hyperparam(examples.inputs)
        attack.attack_single_run(examples.inputs, examples.labels)
        torch.manual_seed(5)
        draws = Replayed(norm=norm, channels=1, length=10, initial_share=0.8)
        random_search(
            ours,
            examples,
            threat_model,
            BestSoFar(examples.inputs),
            draws=draws,
            stage=Square(queries=queries, initial_share=0.8),
        )
    assert len(ours.seen) == len(theirs.seen) == queries + 1
    torch.testing.assert_close(torch.cat(ours.seen), torch.cat(theirs.seen), rtol=0, atol=1e-5)


def test_windows_reach_every_pixel() -> None:
    """Keyed windows of one pixel touch the whole image, its last row and column included."""
    choices = KeyedDraws(seed=0, restart=0, channels=3).block(torch.arange(100), 0)
    plan = square_linf.plan(choices, [1] * QUERIES_PER_DRAW, (8, 8))
    assert (plan.rows[..., :, None] * plan.columns[..., None, :]).flatten(0, 1).any(0).all()
    whole = square_linf.plan(choices, [8] * QUERIES_PER_DRAW, (8, 8))
    assert whole.rows.all()
    assert whole.columns.all()


def test_draws_depend_on_the_example_alone() -> None:
    """An example's windows are the same alone, in a batch and in another order."""
    draws = KeyedDraws(seed=1, restart=0, channels=3)
    together = draws.block(torch.tensor([4, 9, 2]), 3)
    alone = draws.block(torch.tensor([9]), 3)
    assert torch.equal(together.places[1:2], alone.places)
    assert torch.equal(together.signs[1:2], alone.signs)
    assert torch.equal(together.transposed[1:2], alone.transposed)


def test_in_l1_our_own_has_no_moves(network, examples_of):
    """Those of L2 would leave the ball."""
    with pytest.raises(ValueError, match="one of L1, which Square has no moves for"):
        Square(engine="fast", queries=5).perturb(network, examples_of(network, 2), ThreatModel.parse("L1:1"), seed=0)
