"""What travels between driver and workers arrives as it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.core.errors import BenchError, WorkFailedError
from bench.core.types import Examples
from bench.evaluation.execution.protocol import Failed, PackedExamples


def _examples(inputs: torch.Tensor) -> Examples:
    return Examples(inputs=inputs, labels=torch.arange(len(inputs)), indices=100 + torch.arange(len(inputs)))


@pytest.mark.parametrize(
    ("inputs", "kind"),
    [
        (torch.arange(256, dtype=torch.uint8).view(4, 1, 8, 8).float() / 255, np.uint8),
        (torch.linspace(0, 1, 256).view(4, 1, 8, 8).nextafter(torch.tensor(0.0)), np.float32),
        (torch.arange(17).float()[None, None, None] / 16, np.float32),
        (torch.empty(0, 3, 4, 4), np.uint8),
    ],
)
def test_examples_arrive_to_the_bit(inputs: torch.Tensor, kind: type) -> None:
    """Images in a byte a pixel, all else as it is; never in memory that somebody else may write to."""
    packed = PackedExamples.of(_examples(inputs))
    found = packed.unpack()
    assert packed.inputs.dtype == kind
    assert torch.equal(found.inputs, inputs) and found.inputs.dtype == torch.float32
    assert torch.equal(found.labels, torch.arange(len(inputs))) and torch.equal(found.indices, found.labels + 100)
    found.labels.add_(1)
    assert torch.equal(packed.unpack().labels, torch.arange(len(inputs)))


def test_an_error_keeps_its_exit_code() -> None:
    """What the user can help, and what failed."""
    for error in (BenchError("a"), WorkFailedError("b")):
        found = Failed.of(error).error
        assert type(found) is type(error) and str(found) == str(error)
