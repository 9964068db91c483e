"""The global generators that a model may draw from."""

from __future__ import annotations

import random

import numpy as np
import torch

from bench.ops.generators import generators_kept, seed_generators


def draws() -> tuple[float, float, float]:
    return torch.rand(()).item(), float(np.random.rand()), random.random()


def test_a_key_fixes_the_draws_of_all_generators():
    """The same key, the same numbers; another index, pass or name, others from each generator."""
    with generators_kept():
        found = []
        for key in ("verdict 0 7 1", "verdict 0 7 2", "verdict 0 8 1", "verdict 1 7 1", "other 0 7 1"):
            seed_generators(*key.split())
            found.append(draws())
            seed_generators(*key.split())
            assert draws() == found[-1]
    for column in zip(*found, strict=True):
        assert len(set(column)) == len(found)


def test_generators_are_put_back():
    """Also where the block fails."""
    with generators_kept():
        expected = draws()
    try:
        with generators_kept():
            seed_generators("any")
            draws()
            raise ValueError
    except ValueError:
        pass
    assert draws() == expected
