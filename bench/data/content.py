"""From what a reader found to checked tensors and a digest of them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from bench.core import digest as digests
from bench.core.errors import BenchError
from bench.core.types import Examples
from bench.data.dataset import Content

__all__ = ["check", "digest", "to_examples"]


def check(content: Content, *, source: str) -> None:
    """Refuse content that no evaluation can use.

    Args:
        content: what a reader found.
        source: where it was found, for the message.

    Raises:
        BenchError: if shape, type or range of inputs or labels are wrong.
    """
    inputs, labels, class_names = content.inputs, content.labels, content.class_names
    if inputs.ndim != 4 or 0 in inputs.shape:
        raise BenchError(f"{source}: expected inputs of shape (N, C, H, W), none of them 0, but got {inputs.shape}.")
    if inputs.shape[1] not in (1, 3):
        hint = " It looks like (N, H, W, C): transpose it." if inputs.shape[3] in (1, 3) else ""
        raise BenchError(f"{source}: expected 1 or 3 channels in (N, C, H, W), but got shape {inputs.shape}.{hint}")
    _check_range(inputs, source=source)
    if labels.shape != inputs.shape[:1]:
        raise BenchError(f"{source}: expected {len(inputs)} labels of shape (N,), but got shape {labels.shape}.")
    if labels.dtype.kind not in "iu":
        raise BenchError(f"{source}: expected integer labels, but got type {labels.dtype}.")
    numbers = labels.astype(np.int64)
    outside = np.flatnonzero((numbers < 0) | (numbers >= len(class_names)))
    if len(outside):
        first = outside[0]
        raise BenchError(
            f"{source}: expected labels from 0 to {len(class_names) - 1},"
            f" but label {labels[first]} of example {first} is out of range."
        )


def digest(content: Content) -> str:
    """SHA-256 over shape, inputs and labels; the same images give the same digest in any file.

    Inputs count as uint8 where that loses nothing (each is k/255 in float32), else as little-endian float32.
    """
    inputs = content.inputs
    if inputs.dtype != np.uint8:
        floats = _as_float(inputs)
        levels = np.rint(floats * 255).astype(np.uint8)
        inputs = levels if np.array_equal(_as_float(levels), floats) else floats.astype("<f4")
    header = digests.of_json({"type": inputs.dtype.name, "shape": inputs.shape})
    return digests.of_bytes(header.encode(), inputs.tobytes(), content.labels.astype("<i8").tobytes())


def to_examples(content: Content) -> Examples:
    """The content as tensors: float32 inputs in [0, 1], int64 labels, indices 0..N-1."""
    inputs = torch.from_numpy(_as_float(content.inputs))
    labels = torch.from_numpy(content.labels.astype(np.int64))
    return Examples(inputs=inputs, labels=labels, indices=torch.arange(len(labels)))


def _as_float(inputs: NDArray[np.generic]) -> NDArray[np.float32]:
    """Float32 in [0, 1] and contiguous; a byte k is k/255."""
    floats = inputs.astype(np.float32, order="C")
    if inputs.dtype == np.uint8:
        floats /= np.float32(255)
    return floats


def _check_range(inputs: NDArray[np.generic], *, source: str) -> None:
    if inputs.dtype == np.uint8:
        return
    if inputs.dtype.kind != "f":
        raise BenchError(f"{source}: expected inputs as uint8, or as floats in [0, 1], but got type {inputs.dtype}.")
    low, high = float(inputs.min()), float(inputs.max())
    if not (low >= 0 and high <= 1):  # also true for NaN
        hint = " Divide by 255, or store uint8." if 1 < high <= 255 and low >= 0 else ""
        raise BenchError(f"{source}: expected inputs in [0, 1], but got values from {low:g} to {high:g}.{hint}")
