"""Strict loading: what does not fit is named with both shapes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from bench.models.fitting import fit

PATH = Path("w.safetensors")


def _net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def test_loads_in_the_modules_own_dtype():
    """Half-precision weights end as float32, equal to what the file says."""
    source, net = _net(), _net()
    fit(
        net,
        {name: t.half() if t.is_floating_point() else t for name, t in source.state_dict().items()},
        name="n",
        path=PATH,
    )
    assert net[0].weight.dtype == torch.float32
    assert torch.equal(net[0].weight, source[0].weight.half().float())


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "model."])
def test_prefixes_of_wrappers_are_dropped(prefix):
    """What DataParallel and torch.compile put before every name does not matter."""
    source, net = _net(), _net()
    fit(net, {prefix + name: tensor for name, tensor in source.state_dict().items()}, name="n", path=PATH)
    assert torch.equal(net[0].weight, source[0].weight)


def test_a_child_that_is_called_module_keeps_its_name():
    """A prefix that belongs to the network itself is not dropped."""
    net = nn.Module()
    net.module = nn.Linear(2, 2)
    fit(net, {"module.weight": torch.ones(2, 2), "module.bias": torch.ones(2)}, name="n", path=PATH)
    assert net.module.bias.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        ({"0.weight": torch.ones(5, 3)}, ("'0.weight'", "(5, 3)", "(4, 3)")),
        ({"0.weight": None}, ("'0.weight' is missing",)),
        ({"0.weight": None, "0.weigth": torch.ones(4, 3)}, ("'0.weight' is missing", "nearest: '0.weigth'", "1 more")),
        ({"extra": torch.ones(1)}, ("'extra' in the file is not in the model",)),
        ({"0.bias": torch.ones(4, dtype=torch.int64)}, ("'0.bias'", "torch.int64", "torch.float32")),
    ],
)
def test_what_does_not_fit_is_named(refused, change, texts):
    """Wrong shapes, missing and unexpected names are refused by name, and nothing is loaded."""
    net = _net()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state = {name: tensor for name, tensor in (_net().state_dict() | change).items() if tensor is not None}
    refused(lambda: fit(net, state, name="net", path=PATH), "w.safetensors", "net", *texts)
    assert all(torch.equal(net.state_dict()[name], tensor) for name, tensor in before.items())


def test_old_files_without_batch_counters_load():
    """Files from before torch counted batches in batch normalisation load."""
    state = {name: tensor for name, tensor in _net().state_dict().items() if "num_batches" not in name}
    fit(_net(), state, name="net", path=PATH)
