"""Test of the minimum-norm attack against closed form."""

from __future__ import annotations

import dataclasses

import torch

from bench import attacks
from bench.core.types import ThreatModel


def test_the_smallest_perturbation_is_found(linear, examples_of):
    """On a linear classifier the distance found is mostly that of the nearest boundary, and never less."""
    examples = examples_of(linear, 16)
    attack = dataclasses.replace(attacks.get("carlini-wagner-l2"), steps=300, binary_search_steps=9)
    moved = attack.perturb(linear, examples, ThreatModel.parse("L2:0.5"), seed=0)
    weight, logits = linear[1].weight, linear(examples.inputs)
    gaps = logits.gather(1, examples.labels[:, None]) - logits
    lengths = torch.linalg.vector_norm(weight[examples.labels][:, None] - weight[None], dim=2)
    nearest = (gaps / lengths).nan_to_num(nan=float("inf")).amin(1)
    found = (moved - examples.inputs).flatten(1).norm(dim=1)
    assert (linear(moved).argmax(1) != examples.labels).all()
    assert (found <= nearest * 1.05 + 1e-3).float().mean() >= 0.5
    assert (found >= nearest - 1e-4).all()
