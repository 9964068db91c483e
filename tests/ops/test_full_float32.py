"""Full float32 inside, every flag as it was outside."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bench.ops.full_float32 import full_float32


def _flags() -> list[Any]:
    backends = torch.backends
    flags: list[Any] = [
        torch.get_float32_matmul_precision(),
        backends.cudnn.allow_tf32,
        backends.cuda.matmul.allow_tf32,
        backends.cuda.matmul.allow_fp16_reduced_precision_reduction,
        backends.cuda.matmul.allow_bf16_reduced_precision_reduction,
        backends.cudnn.benchmark,
        backends.cudnn.deterministic,
    ]
    return flags


@pytest.mark.parametrize("precision", ["highest", "medium"])
def test_flags_are_off_inside_and_restored(precision: str) -> None:
    """TF32, reduced sums and autotuning, even after an error."""
    torch.set_float32_matmul_precision(precision)
    before = _flags()
    try:
        with pytest.raises(RuntimeError, match="inside"), full_float32():
            assert _flags() == ["highest", False, False, False, False, False, True]
            raise RuntimeError("inside")
        assert _flags() == before
    finally:
        torch.set_float32_matmul_precision("highest")


def test_autocast_does_not_reach_inside() -> None:
    """A caller's autocast would judge the model in bfloat16."""
    matrix = torch.rand(4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        with full_float32():
            assert (matrix @ matrix).dtype is torch.float32
        assert (matrix @ matrix).dtype is torch.bfloat16
