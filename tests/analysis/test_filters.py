"""The analysis of filters: twins at distance zero and far apart, a control, a router, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.analysis import ANALYSES
from bench.analysis.filters import layers, statistics
from bench.analysis.work import carry_out
from bench.core.errors import BenchError
from bench.core.structure import Route
from bench.models import LoadedModel

FILTERS = ANALYSES.get("filters")


def network(seed, scale=1.0, filters=16):
    """Three convolutions; `scale` multiplies all weights."""
    torch.manual_seed(seed)
    parts = (nn.Conv2d(1, filters, 3), nn.Conv2d(filters, 24, 3), nn.Conv2d(24, 32, 1), nn.Flatten())
    module = nn.Sequential(*parts, nn.Linear(32 * 16, 3))
    for name, weights in module.named_parameters():
        if "weight" in name:
            weights.data.mul_(scale)
    return module


class Router(nn.Module):
    """Calls an input adversarial where its mean is above 1/2, and scales the filters by its distance from there."""

    def __init__(self, knows=True):
        super().__init__()
        self.knows = knows
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.linear = nn.Linear(4, 3)

    def route(self, inputs):
        above = (inputs.mean(dim=(1, 2, 3)) - 0.5) * 50 + (0 if self.knows else 10)
        return Route((2 * torch.sigmoid(above)[:, None].expand(-1, 4),), torch.stack((-above, above), 1).softmax(1))

    def routed(self, inputs, route):
        return self.linear((self.conv(inputs) * route.signals[0][:, :, None, None]).mean(dim=(2, 3)))

    def forward(self, inputs):
        return self.routed(inputs, self.route(inputs))


def measured(subject):
    """Tables, claims and figures have to follow from the values; return the values."""
    done = carry_out(FILTERS.tasks(subject), journal=None, identity={})
    return FILTERS.conclude(subject, done.parts)


def test_statistics_of_a_filter_in_closed_form():
    """Norm, mean absolute weight, spread, and their ratio, which scaling leaves alone."""
    found = statistics(torch.tensor([[3.0, -4.0], [30.0, -40.0]], dtype=torch.float64))
    assert found["norm"].tolist() == [5.0, 50.0]
    assert found["mean_abs"].tolist() == [3.5, 35.0]
    assert found["std"].tolist() == [3.5, 35.0]
    assert found["shape"][0] == found["shape"][1] == 1.0


def test_layers_are_those_of_images_in_order():
    """Linear layers have no filters."""
    assert [(name, tuple(weights.shape)) for name, weights in layers(network(0)).items()] == [
        ("0", (16, 9)),
        ("1", (24, 144)),
        ("2", (32, 24)),
    ]


def test_identical_twins_are_at_distance_zero(subject_of):
    """No layer differs, and the claim does not hold."""
    values = measured(subject_of({"one": network(0), "other": network(0)}))
    for layer in values["pairs"]["other"]["layers"]:
        assert (layer["norm"]["ks"], layer["shape"]["wasserstein"]) == (0.0, 0.0)
    (claim,) = FILTERS.claims(values)
    assert claim.verdict == "does not hold"
    assert "0 of 3 layers" in claim.evidence


def test_scaled_twins_differ_in_norm_and_not_in_shape(subject_of):
    """A network of twice the weights is apart in every layer, but for the ratio."""
    values = measured(subject_of({"one": network(0), "other": network(0, scale=2.0)}))
    for layer in values["pairs"]["other"]["layers"]:
        assert layer["norm"]["ks"] == 1.0
        assert layer["shape"]["ks"] < 0.1
    (claim,) = FILTERS.claims(values)
    assert claim.verdict == "holds"
    assert "3 of 3 layers" in claim.evidence


def test_a_layer_of_a_deep_network_is_divided_often_enough(subject_of, monkeypatch):
    """So often that each of all layers could differ significantly."""
    asked = []
    monkeypatch.setattr("bench.analysis.twins.permutations_for", lambda n_layers: asked.append(n_layers) or 9)
    values = measured(subject_of({"one": network(0), "other": network(0, scale=2.0)}))
    assert set(asked) == {3} and values["pairs"]["other"]["layers"][0]["norm"]["p_value"] == 0.1


def test_twins_among_each_other_are_told_too(subject_of):
    """Two twins that are the same network are at distance zero from each other, and far from the first."""
    values = measured(subject_of({"one": network(0), "two": network(0, scale=2.0), "three": network(0, scale=2.0)}))
    assert values["among"]["norm"]["ks"]["value"] == 0.0
    assert values["among"]["norm"]["wasserstein"]["value"] == 0.0
    for claim in FILTERS.claims(values):
        assert "the twins among each other: mean KS 0.00" in claim.evidence
    apart = measured(subject_of({"one": network(0), "two": network(0), "three": network(0, scale=2.0)}))
    assert apart["among"]["norm"]["ks"]["value"] == 1.0
    assert apart["among"]["shape"]["ks"]["value"] < 0.1


def test_a_control_that_differs_as_much_refutes_the_claim(subject_of):
    """What two seeds of one method do as well is no effect of the other method."""
    control = LoadedModel(name="one", module=network(1, scale=4.0), digest="c", factory_digest="", num_classes=3)
    subject = subject_of({"one": network(0), "other": network(0, scale=2.0)}, control=control)
    values = measured(subject)
    assert values["control"] == "one (other seed)"
    (claim,) = FILTERS.claims(values)
    assert claim.verdict == "does not hold"
    assert "between two seeds of one" in claim.evidence


def test_a_router_that_knows_is_told_from_one_that_does_not(subject_of, examples):
    """Correct on both sides, or on one side alone; a change of all signals is measured."""
    torch.manual_seed(0)
    inputs = examples.inputs - 0.01
    subject = subject_of(
        {"one": network(0), "other": network(0), "blind": Router(knows=False)},
        examples=type(examples)(inputs=inputs, labels=examples.labels, indices=examples.indices),
    )
    values = measured(subject)
    assert set(values["routers"]) == {"blind"}
    router = values["routers"]["blind"]
    assert router["router"]["none"]["value"] == 0.0
    assert router["router"]["pgd"]["value"] == 1.0
    (layer,) = router["layers"]
    assert layer["change"]["value"] == pytest.approx(1.0, abs=0.01)
    assert sum(layer["clean"]) == sum(layer["adversarial"]) == len(inputs) * 4
    assert sum(layer["effective"]["static"]) == 4
    assert FILTERS.claims(values)[-1].verdict == "does not hold"


def test_an_attack_that_steers_leads_the_router_whatever_the_class(subject_of, examples):
    """Images that are misclassified as they are, too: no attack on the class would move them."""
    module = Router()
    with torch.no_grad():
        wrong = (module(examples.inputs + 0.01).argmax(1) + 1) % 3
    subject = subject_of(
        {"one": network(0), "other": network(0), "router": module},
        examples=type(examples)(inputs=examples.inputs + 0.01, labels=wrong, indices=examples.indices),
    )
    router = measured(subject)["routers"]["router"]["router"]
    assert router["none"]["value"] == 0.0 and router["steered"]["value"] < min(0.5, router["pgd"]["value"])


def test_figures_and_tables_follow_from_the_values(subject_of):
    """With and without a router."""
    subject = subject_of({"one": network(0), "other": network(3), "router": Router()})
    values = measured(subject)
    assert len(FILTERS.draw(values)) == 3
    assert [len(table.rows) for table in FILTERS.tables(values)] == [4, 1]
    assert values["among"] is None
    del values["routers"]["router"]
    assert len(FILTERS.draw(values)) == 2
    assert len(FILTERS.tables(values)) == 1


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ({"one": network(0), "other": network(0, filters=8)}, r"'one' and 'other' differ: convolution '0' is 16 .* 8"),
        ({"one": network(0), "router": Router()}, r"without a router, but got one: try --model standard"),
        ({"one": nn.Linear(2, 2), "other": nn.Linear(2, 2)}, r"'one' has no convolutions"),
    ],
)
def test_models_that_are_no_twins_are_refused(subject_of, models, message):
    """In one line, with what differs."""
    with pytest.raises(BenchError, match=message) as raised:
        FILTERS.tasks(subject_of(models))
    assert "\n" not in str(raised.value)
