"""Normalisation inside the model."""

from __future__ import annotations

import pytest
import torch

from bench.models import Normalize


def test_subtracts_and_divides_per_channel():
    """Each channel gets its own mean and standard deviation."""
    inputs = torch.tensor([[[[0.5]], [[1.0]]]])
    assert Normalize((0.5, 0.0), (0.1, 0.25))(inputs).flatten().tolist() == [0.0, 4.0]


def test_its_numbers_are_part_of_the_state():
    """The numbers travel with the weights."""
    assert set(Normalize((0.5,), (0.5,)).state_dict()) == {"mean", "std"}


@pytest.mark.parametrize(("mean", "std"), [((0.5,), (0.5, 0.5)), ((0.5,), (0.0,)), ((), ())])
def test_wrong_numbers_are_refused(mean, std):
    """A standard deviation of zero or another number of channels is the caller's mistake."""
    with pytest.raises(ValueError, match="Expected"):
        Normalize(mean, std)
