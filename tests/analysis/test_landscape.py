"""The weight-loss landscape, on a quadratic bowl and on twins."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.analysis import ANALYSES
from bench.analysis.directions import along, direction
from bench.analysis.observations.landscape import Landscape
from bench.analysis.work import carry_out
from bench.attacks.pgd import PGD

LANDSCAPE = Landscape(directions=2, distances=(-0.2, -0.1, 0.1, 0.2), attack=PGD(name="pgd-3", steps=3))


class Net(nn.Module):
    """A convolution with a batch norm, and a linear layer."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.conv, self.norm, self.linear = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.linear(self.norm(self.conv(inputs)).mean(dim=(2, 3)))


def measured(subject, landscape=LANDSCAPE):
    return landscape.conclude(subject, carry_out(landscape.tasks(subject), journal=None, identity={}).parts)


def test_every_filter_of_a_direction_has_the_norm_of_its_own():
    """Filter by filter; biases and batch norms are not moved."""
    net = Net()
    found = direction(net, seed=0, number=0)
    assert set(found) == {"conv.weight", "linear.weight"}
    for name, delta in found.items():
        weights = dict(net.named_parameters())[name]
        assert torch.allclose(delta.flatten(1).norm(dim=1), weights.flatten(1).norm(dim=1))


def test_directions_are_drawn_by_seed_and_number_and_shared_by_twins():
    """The same Gaussian for networks of one architecture, whose filters alone set its length."""
    one, again = direction(Net(), seed=0, number=1), direction(Net(), seed=0, number=1)
    assert all(torch.equal(one[name], again[name]) for name in one)
    twin = direction(Net(seed=5), seed=0, number=1)
    cosine = torch.cosine_similarity(one["conv.weight"].flatten(1), twin["conv.weight"].flatten(1))
    assert torch.allclose(cosine, torch.ones(4))
    for other in (direction(Net(), seed=0, number=2), direction(Net(), seed=1, number=1)):
        assert not torch.allclose(other["conv.weight"], one["conv.weight"])


def test_a_quadratic_bowl_is_found_as_one():
    """The squared distance from home at alpha is alpha^2 times the squared norm of all filters."""
    net = Net()
    home = {name: value.detach().clone() for name, value in net.named_parameters()}
    before = copy.deepcopy(net.state_dict())

    def bowl(moved: nn.Module) -> Tensor:
        return sum(((value.detach() - home[name]) ** 2).sum() for name, value in moved.named_parameters()).reshape(1)

    distances = (-0.5, 0.1, 1.0)
    found = along(net, direction(net, seed=0, number=0), distances, bowl)
    total = float(sum((home[name] ** 2).sum() for name in ("conv.weight", "linear.weight")))
    assert [float(value) for value in found] == pytest.approx([total * alpha**2 for alpha in distances], rel=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_sharpness_is_the_mean_rise(subject_of, examples):
    """Of known losses: over all directions and distances, less the loss at home."""
    subject = subject_of({"bowl": Net()})
    n = len(examples)
    parts = {
        "bowl, test": {"loss": [1.0] * n, "robust": [True] * (n // 2) + [False] * (n // 2)},
        "bowl, test, direction 1": {"losses": [[1.0 + alpha**2] * n for alpha in LANDSCAPE.distances]},
        "bowl, test, direction 2": {"losses": [[1.0 + 3 * alpha**2] * n for alpha in LANDSCAPE.distances]},
    }
    values = LANDSCAPE.conclude(subject, parts)
    side = values["models"]["bowl"]["test"]
    mean_square = np.mean(np.square(LANDSCAPE.distances))
    assert side["sharpness"]["value"] == pytest.approx(2 * mean_square)
    assert side["by_direction"] == pytest.approx([mean_square, 3 * mean_square])
    assert side["robust"]["value"] == 0.5
    assert values["gaps"] == {}


def test_identical_twins_have_the_same_landscape(subject_of, examples):
    """Every difference is exactly zero and nothing is claimed; both splits are looked at."""
    subject = subject_of({"one": Net(), "other": Net()}, training=lambda: examples)
    values = measured(subject)
    assert values["models"]["one"] == values["models"]["other"]
    assert values["gaps"]["one"]["value"] == 0.0
    assert {claim.verdict for claim in LANDSCAPE.claims(values)} == {"not settled"}
    assert len(LANDSCAPE.claims(values)) == 3
    assert values["against_first"]["other"]["sharpness"]["test"] == {"value": 0.0, "low": 0.0, "high": 0.0}


@pytest.mark.parametrize(("rise", "verdict"), [(0.2, "holds"), (1.0, "not settled"), (5.0, "does not hold")])
def test_a_flatter_network_is_told_from_a_sharper_one(subject_of, examples, rise, verdict):
    """Against a first network whose loss rises by alpha squared; equal ones settle nothing."""
    n = len(examples)
    parts = {}
    for name, factor in (("first", 1.0), ("other", rise)):
        parts[f"{name}, test"] = {"loss": [0.5] * n, "robust": [True] * n}
        for number in (1, 2):
            losses = [[0.5 + factor * alpha**2] * n for alpha in LANDSCAPE.distances]
            parts[f"{name}, test, direction {number}"] = {"losses": losses}
    values = LANDSCAPE.conclude(subject_of({"first": Net(), "other": Net()}), parts)
    (claim,) = LANDSCAPE.claims(values)
    assert (claim.text, claim.verdict) == (
        "The landscape of other is flatter than that of first, on test images.",
        verdict,
    )


def test_the_gap_is_training_less_test_accuracy(subject_of, examples):
    """All training images robust and half of the test images; the other network has no gap."""
    n = len(examples)
    parts = {}
    for name, half in (("first", [True] * (n // 2) + [False] * (n // 2)), ("other", [True] * n)):
        for split, robust in (("train", [True] * n), ("test", half)):
            parts[f"{name}, {split}"] = {"loss": [0.5] * n, "robust": robust}
            for number in (1, 2):
                parts[f"{name}, {split}, direction {number}"] = {"losses": [[0.5] * n for _ in LANDSCAPE.distances]}
    values = LANDSCAPE.conclude(subject_of({"first": Net(), "other": Net()}), parts)
    assert (values["gaps"]["first"]["value"], values["gaps"]["other"]["value"]) == (0.5, 0.0)
    assert LANDSCAPE.claims(values)[-1].verdict == "holds"
    assert "-50.00" in LANDSCAPE.claims(values)[-1].evidence


def test_adversarial_examples_are_made_anew_for_every_network(subject_of):
    """The attack meets each displaced network, not the one at home."""
    met = set()

    class Seen(Net):
        def forward(self, inputs: Tensor) -> Tensor:
            if inputs.requires_grad:
                met.add(float(self.conv.weight.sum()))
            return super().forward(inputs)

    measured(subject_of({"net": Seen()}))
    assert len(met) == 1 + LANDSCAPE.directions * len(LANDSCAPE.distances)


def test_tables_and_figures_follow_from_the_values(subject_of, examples):
    """With training images and without."""
    for training, lines in ((lambda: examples, 4), (lambda: None, 2)):
        values = measured(subject_of({"one": Net(), "other": Net(3)}, training=training))
        (table,) = LANDSCAPE.tables(values)
        assert len(table.rows) == lines
        assert len(LANDSCAPE.draw(values)) == 1


def test_it_ships():
    """Three directions, symmetric distances, none of them 0."""
    shipped = ANALYSES.get("landscape")
    assert shipped.directions == 3
    assert sum(shipped.distances) == pytest.approx(0)
    assert 0 not in shipped.distances
