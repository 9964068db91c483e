"""Another process builds the same model and asks it in the same way."""

from __future__ import annotations

import textwrap

import numpy as np
import torch
from torchvision.models import squeezenet1_1

from bench import data
from bench.models.blueprint import blueprint_of, dump_state, load_state, rebuild
from bench.models.digest import state_digest
from bench.models.registry import load

FILE = """
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(64, 10)

        def forward(self, inputs):
            inputs -= 0.5
            return self.linear(inputs.flatten(1).double())

    def make():
        return Net().double()

    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.scale = nn.Linear(64, 10), 2.0

        def get_extra_state(self):
            return {"scale": self.scale}

        def set_extra_state(self, state):
            self.scale = state["scale"]

        def forward(self, inputs):
            return self.scale * self.linear(inputs.flatten(1))
"""


def test_a_model_that_is_asked_in_its_own_way_is_rebuilt_so(tmp_path, digits):
    """Copies and float64 are part of what is sent, and the answers are the driver's."""
    path = tmp_path / "net.py"
    path.write_text(textwrap.dedent(FILE))
    model = load(f"{path}:make", dataset=digits)
    assert [line.split(":")[0] for line in model.remarks] == [
        "The model answers in float64",
        "The model changes its input in place",
    ]
    blueprint = blueprint_of(model, dataset="digits", threat_model=digits.default_threat_model)
    rebuilt = rebuild(blueprint, device=torch.device("cpu"))
    load_state(rebuilt, dump_state(model.module))
    few = digits.examples[:4].inputs
    assert torch.equal(rebuilt(few.clone()), model.module(few.clone()))


def test_what_a_model_keeps_beside_its_tensors_is_sent_too(tmp_path, digits):
    """Extra state reaches the other process, and is part of the digest."""
    path = tmp_path / "net.py"
    path.write_text(textwrap.dedent(FILE))
    model = load(f"{path}:Scaled", dataset=digits)
    before = state_digest(model.module.state_dict())
    model.module.scale = 3.0
    assert state_digest(model.module.state_dict()) != before
    blueprint = blueprint_of(model, dataset="digits", threat_model=digits.default_threat_model)
    rebuilt = rebuild(blueprint, device=torch.device("cpu"))
    load_state(rebuilt, dump_state(model.module))
    assert rebuilt.scale == 3.0


def test_a_librarys_model_is_rebuilt_without_its_weights(tmp_path):
    """A worker has no file of weights and no network: the tensors are the driver's."""
    network = squeezenet1_1(weights=None, num_classes=10)
    torch.save(network.state_dict(), tmp_path / "own.pt")
    images, labels = torch.rand(2, 3, 64, 64), torch.tensor([0, 1])
    np.savez(tmp_path / "images.npz", inputs=images.numpy(), labels=labels.numpy(), class_names=list("abcdefghij"))
    dataset = data.load(str(tmp_path / "images.npz"))
    model = load("torchvision:squeezenet1_1", dataset=dataset, weights=tmp_path / "own.pt")
    (tmp_path / "own.pt").unlink()
    blueprint = blueprint_of(model, dataset=dataset.name, threat_model=dataset.default_threat_model)
    rebuilt = rebuild(blueprint, device=torch.device("cpu"))
    load_state(rebuilt, dump_state(model.module))
    assert torch.equal(rebuilt(images), model.module(images))
