"""Transfer: what other models' points do to a model, each point one query."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.attacks import CW, PGD, Transfer
from bench.core.types import ThreatModel

THREAT_MODEL = ThreatModel.parse("Linf:0.1")
QUICK = (PGD(steps=5), CW(steps=5))


class Asked(nn.Module):
    """A network that gives answers alone, and keeps every image that it is asked about."""

    def __init__(self, net):
        super().__init__()
        self.net, self.images = net, []

    @torch.no_grad()
    def forward(self, inputs):
        self.images.append(inputs.clone())
        return self.net(inputs)


@pytest.fixture
def other():
    """Another network than `net`, hardly trained."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval().requires_grad_(False)


def robust(net, points, labels):
    with torch.no_grad():
        return net(points).argmax(1) == labels


def test_from_the_model_itself_it_finds_what_its_attacks_find(net, digits):
    """Though the model gives no gradient: a surrogate of the same weights has it."""
    points = Transfer(attacks=QUICK, surrogates=(net,)).perturb(Asked(net), digits, THREAT_MODEL, seed=0)
    found = [attack.perturb(net, digits, THREAT_MODEL, seed=0) for attack in QUICK]
    expected = torch.stack([robust(net, each, digits.labels) for each in found]).all(0)
    assert torch.equal(robust(net, points, digits.labels), expected)
    assert 0 < expected.sum() < len(digits)
    assert float((points - digits.inputs).abs().max()) <= 0.1 + 1e-6


def test_every_point_is_one_query_and_a_broken_example_asks_no_more(net, other, digits):
    """Two surrogates and their mean, two attacks each: at most six queries an example, fewer where one breaks it."""
    asked = Asked(net)
    attack = Transfer(attacks=QUICK, surrogates=(other, net))
    points = attack.perturb(asked, digits, THREAT_MODEL, seed=0)
    sizes = [len(images) for images in asked.images]
    assert attack.most_trials == len(sizes) == 6
    left = int(robust(net, points, digits.labels).sum())
    assert sizes[0] == len(digits)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] >= left > 0
    assert sizes[2] < sizes[0], "what the first surrogate broke is not tried on the second"


def test_both_together_find_more_than_the_first_alone(net, other, digits):
    """A second surrogate takes nothing away."""
    one = robust(
        net, Transfer(attacks=QUICK, surrogates=(other,)).perturb(net, digits, THREAT_MODEL, seed=0), digits.labels
    )
    both = Transfer(attacks=QUICK, surrogates=(other, net)).perturb(net, digits, THREAT_MODEL, seed=0)
    assert not (robust(net, both, digits.labels) & ~one).any()
    assert robust(net, both, digits.labels).sum() < one.sum()


@pytest.mark.parametrize("count", [0, 3])
def test_surrogates_are_one_or_two(net, digits, count):
    """None to craft on, or more than the budget knows of."""
    with pytest.raises(ValueError, match=f"1 to 2 `surrogates`, but got {count}"):
        Transfer(surrogates=(net,) * count).perturb(net, digits, THREAT_MODEL, seed=0)
