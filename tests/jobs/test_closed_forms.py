from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from bench import data
from bench.core.types import Examples, ThreatModel
from bench.jobs.closed_forms import Layers, hidden_margins, hidden_net, linear_margins, linear_net, smallest_margin


def test_the_exact_margin_is_that_of_a_fine_grid() -> None:
    """Of a hidden layer, on two pixels that can be searched through."""
    layers = Layers(
        np.array([[1.0, -2.0], [0.5, 1.5], [-1.0, 0.3]]),
        np.array([0.1, -0.4, 0.2]),
        np.array([[1.0, -1.0, 0.5], [-0.5, 1.0, 1.0]]),
        np.array([0.2, 0.0]),
    )
    low, high = np.array([0.1, 0.2]), np.array([0.5, 0.9])
    axes = np.meshgrid(np.linspace(0.1, 0.5, 401), np.linspace(0.2, 0.9, 701))
    points = np.stack([axis.ravel() for axis in axes], axis=1)
    logits = (points @ layers.first.T + layers.first_bias).clip(0) @ layers.second.T + layers.second_bias
    assert smallest_margin(layers, low, high, 0) == pytest.approx((logits[:, 0] - logits[:, 1]).min(), abs=2e-3)
    assert smallest_margin(layers, low, high, 1) == pytest.approx((logits[:, 1] - logits[:, 0]).min(), abs=2e-3)


@pytest.mark.parametrize("threat_model", ["Linf:0.2", "L2:0.2"])
@pytest.mark.parametrize("pixels", [(0.5, 0.4), (0.05, 0.95), (0.0, 0.9)])
def test_a_linear_margin_is_that_of_a_fine_grid(threat_model: str, pixels: tuple[float, float]) -> None:
    """In the middle of the box, and where it cuts the ball."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 3))
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([[1.0, -0.4], [-0.3, 0.7], [0.2, -2.0]]))
        net[1].bias.copy_(torch.tensor([0.3, -0.1, 0.2]))
    image = torch.tensor(pixels).view(1, 1, 1, 2)
    examples = Examples(inputs=image, labels=torch.tensor([0]), indices=torch.tensor([0]))
    attacker = ThreatModel.parse(threat_model)
    steps = torch.stack(torch.meshgrid(*[torch.linspace(-0.2, 0.2, 801)] * 2, indexing="ij"), -1).view(-1, 1, 1, 2)
    reached = steps.flatten(1).norm(dim=1) <= 0.2 if threat_model.startswith("L2") else torch.ones(len(steps)).bool()
    points = (image + steps)[reached]
    logits = net(points[((points >= 0) & (points <= 1)).flatten(1).all(1)])
    least = (logits[:, :1] - logits[:, 1:]).min().item()
    assert linear_margins(net, examples, attacker)[0] == pytest.approx(least, abs=2e-3)


def test_what_is_made_classifies_digits() -> None:
    """The regressions are classifiers, and their margins grow with no epsilon."""
    train, test = (data.load("digits", split=split).examples for split in ("train", "test"))
    few = test[:8]
    linear = linear_net(train, 10)
    assert (linear(test.inputs).argmax(1) == test.labels).float().mean() > 0.85
    assert (
        linear_margins(linear, few, ThreatModel.parse("L2:1/2"))
        < linear_margins(linear, few, ThreatModel.parse("L2:1/4"))
    ).all()
    binary = replace(few, labels=few.labels % 2)
    hidden = hidden_net(replace(train, labels=train.labels % 2), 2, hidden=3)
    near, far = (hidden_margins(hidden, binary, ThreatModel.parse(f"Linf:{size}")) for size in ("0.01", "0.02"))
    logits = hidden(binary.inputs).gather(1, torch.stack([binary.labels, 1 - binary.labels], 1)).numpy()
    assert (far <= near).all() and (near < logits[:, 0] - logits[:, 1] + 1e-6).all()
