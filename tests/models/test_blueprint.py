"""Another process builds the same model and asks it in the same way."""

from __future__ import annotations

import textwrap

import torch

from bench.models.blueprint import blueprint_of, dump_state, load_state, rebuild
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
