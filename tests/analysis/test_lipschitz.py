"""Lipschitz constants, stability and sizes, against what is known in closed form and from the paper."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.analysis import ANALYSES
from bench.analysis.anatomy import layers_of, n_parameters, spectral_norm
from bench.analysis.observations.lipschitz import empirical
from bench.analysis.work import carry_out
from bench.core.types import Examples
from bench.models.architectures import ARCHITECTURES

LIPSCHITZ = ANALYSES.get("lipschitz")


def measured(subject):
    return LIPSCHITZ.conclude(subject, carry_out(LIPSCHITZ.tasks(subject), journal=None, identity={}).parts)


def test_the_constant_of_a_linear_model_is_known(linear, examples):
    """Along any direction d it is |W d|_1 / |d|_inf, whatever the input; the authors' offset of 1e-6 aside."""
    heading = torch.randn(1, 8, 8, generator=torch.Generator().manual_seed(3))
    heading = 0.01 * heading / heading.abs().max()
    found, _ = empirical(linear, examples, examples.inputs + heading)
    expected = (linear.weight @ heading.flatten()).abs().sum() / 0.01
    assert torch.allclose(found, expected.expand(16), rtol=1e-3)


def test_under_attack_it_is_that_of_the_attacks_corner(linear, linear_of, examples, subject_of):
    """With two classes PGD moves every pixel by epsilon along the sign of the difference of the rows."""
    rows = linear.weight[:2]
    binary = linear_of(rows)
    labelled = Examples(inputs=examples.inputs, labels=binary(examples.inputs).argmax(dim=1), indices=examples.indices)
    found = measured(subject_of({"line": binary}, examples=labelled))["examples"]["line"]["lipschitz"]
    corner = float((rows @ (rows[1] - rows[0]).sign()).abs().sum())
    assert found == pytest.approx([corner] * 16, rel=2e-3)


def test_stability_asks_whether_the_answer_stays_and_not_whether_it_is_right(linear, examples):
    """Two examples are labelled wrongly, which does not matter."""
    found = empirical(linear, examples, examples.inputs + 1e-7)[1]
    assert found.all()
    swapped = empirical(linear, examples, 1 - examples.inputs)[1]
    assert not swapped.any()


def test_the_spectral_norm_of_a_linear_layer_is_its_largest_singular_value():
    """With a bias, which does not stretch anything."""
    torch.manual_seed(0)
    layer = nn.Linear(12, 7)
    assert spectral_norm(layer, (12,), seed=0, iterations=200) == pytest.approx(
        float(torch.linalg.matrix_norm(layer.weight.detach(), 2)), rel=1e-5
    )


@pytest.mark.parametrize(("stride", "padding"), [(1, 1), (2, 1), (1, 0)])
def test_the_spectral_norm_of_a_convolution_is_that_of_its_matrix(stride, padding):
    """The operator written out as a matrix, column by column; 20 iterations are never above and not far below."""
    torch.manual_seed(1)
    layer = nn.Conv2d(2, 3, 3, stride=stride, padding=padding)
    basis = torch.eye(2 * 36).reshape(72, 2, 6, 6)
    with torch.no_grad():
        columns = (layer(basis) - layer(torch.zeros(1, 2, 6, 6))).flatten(1)
    exact = float(torch.linalg.matrix_norm(columns, 2))
    assert spectral_norm(layer, (2, 6, 6), seed=0, iterations=500) == pytest.approx(exact, rel=1e-4)
    assert 0.9 * exact < spectral_norm(layer, (2, 6, 6), seed=0) <= exact * (1 + 1e-6)
    assert layer.bias is not None
    assert layer.bias.abs().sum() > 0


@pytest.mark.parametrize(
    ("channels", "millions", "billions"), [((320, 640, 512), 68.12, 19.13), ((192, 384, 768), 66.46, 9.58)]
)
def test_size_and_work_of_the_papers_networks(channels, millions, billions):
    """WRN-34-R and its baseline at 32 x 32: parameters and multiplications, on the meta device."""
    with torch.device("meta"):
        net = ARCHITECTURES.get("robust-wrn").build(num_classes=10, in_channels=3, channels=channels)
        found = layers_of(net.eval(), torch.empty(1, 3, 32, 32))
    assert n_parameters(net) / 1e6 == pytest.approx(millions, abs=0.005)
    assert sum(layer.macs for layer in found) / 1e9 == pytest.approx(billions, abs=0.02)


def test_stages_are_runs_of_one_size(subject_of, examples):
    """Products are over convolutions wider than 1, a shortcut and the last layer aside."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1),
        nn.Conv2d(2, 2, 1),
        nn.Conv2d(2, 2, 3, padding=1),
        nn.Conv2d(2, 2, 3, stride=2, padding=1),
        nn.Flatten(),
        nn.Linear(32, 3),
    )
    found = measured(subject_of({"net": net}))["models"]["net"]
    norms = {layer["name"]: layer["spectral"] for layer in found["layers"]}
    assert [(stage["size"], stage["n_layers"]) for stage in found["stages"]] == [(8, 2), (4, 1)]
    assert found["stages"][0]["product"] == pytest.approx(norms["0"] * norms["2"], rel=1e-4)
    assert found["macs"] == 64 * 2 * 9 + 64 * 2 * 2 + 64 * 2 * 2 * 9 + 16 * 2 * 2 * 9 + 96


def test_twins_are_equally_smooth(subject_of, linear):
    """Differences are zero, and nothing is claimed."""
    values = measured(subject_of({"one": linear, "other": linear}))
    assert values["first_against"]["other"]["lipschitz"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert [claim.verdict for claim in LIPSCHITZ.claims(values)] == ["not settled", "not settled"]


def test_the_first_is_held_against_the_others(subject_of, linear, linear_of):
    """Logits of half the size have half the constant; stability does not change."""
    half = linear_of(linear.weight / 2)
    values = measured(subject_of({"half": half, "whole": linear}))
    one, other = (values["models"][name]["lipschitz"]["value"] for name in ("half", "whole"))
    assert one == pytest.approx(other / 2, rel=1e-3)
    smoother, stabler = LIPSCHITZ.claims(values)
    assert smoother.verdict == "holds"
    assert stabler.verdict == "not settled"
    assert "1.00 times the parameters" in smoother.evidence
    turned = LIPSCHITZ.claims(measured(subject_of({"whole": linear, "half": half})))
    assert turned[0].verdict == "does not hold"


def test_tables_and_figures_follow_from_the_values(subject_of, linear):
    """One line for each model, two figures."""
    values = measured(subject_of({"one": linear, "other": linear}))
    (table,) = LIPSCHITZ.tables(values)
    assert [row[0] for row in table.rows] == ["one", "other"]
    assert len(LIPSCHITZ.draw(values)) == 2


def test_a_constant_needs_a_point_that_moved(linear, examples):
    """At the input itself nothing changes, and the offset keeps the quotient a number."""
    still = Examples(inputs=examples.inputs, labels=examples.labels, indices=examples.indices)
    found, same = empirical(linear, still, still.inputs)
    assert (found == 0).all()
    assert same.all()
