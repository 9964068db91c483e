"""Directions of steps."""

from __future__ import annotations

import pytest
import torch

from bench.core.types import Norm
from bench.ops import norms


@pytest.mark.parametrize("norm", list(Norm))
@pytest.mark.parametrize("scale", [1e-38, 1e-30, 1e-20, 1e-13, 1.0, 1e18])
def test_a_direction_has_unit_norm_whatever_the_size_of_the_gradient(norm, scale):
    """As long as float32 has a gradient at all; that of a confident model's cross-entropy is as small."""
    gradient = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    expected, found = norms.direction(gradient, norm), norms.direction(gradient * scale, norm)
    assert torch.allclose(norms.size(found, norm), torch.ones(4), atol=1e-5)
    assert torch.allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("norm", list(Norm))
def test_no_gradient_has_no_direction(norm):
    """Beside one that has, in the same batch."""
    gradient = torch.zeros(2, 3, 4, 4)
    gradient[1] = 1e-25
    found = norms.direction(gradient, norm)
    assert not found[0].any() and found[1].any()
