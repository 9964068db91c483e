"""From what a reader found to checked tensors and a digest of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.core import digest as digests
from bench.core.errors import BenchError
from bench.core.types import Examples
from bench.data.dataset import Content

__all__ = ["checked", "digest", "expect_classes", "to_examples"]

# OUR CHOICE: float32 rounds 1 by 1e-7, and a chain of operations by some times that; a grey level of 255 is 4e-3.
_ROUNDING = 1e-4
_OVERSHOOT, _OVERSHOOTING = 0.5, 0.2
_ALMOST_BLACK = 16 / 255
_CHANNELS = (1, 3, 4)


def checked(content: Content, *, source: str) -> Content:
    """Refuse content that no evaluation can use.

    Args:
        content: what a reader found.
        source: where it was found, for the message.

    Returns:
        The content, its inputs clipped to [0, 1] where rounding took them out, which is then among the remarks.

    Raises:
        BenchError: if shape, type or range of inputs or labels are wrong, or there are fewer than two classes.
    """
    _check_shape(content.inputs.shape, source=source)
    inputs, remark = _in_range(content.inputs, source=source)
    _check_labels(content, source=source)
    remarks = (*content.remarks, *([remark] if remark else ()))
    return content._replace(inputs=inputs, remarks=remarks)


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


def _as_float(inputs: NDArray[Any]) -> NDArray[np.float32]:
    """Float32 in [0, 1] and contiguous; a byte k is k/255."""
    floats = inputs.astype(np.float32, order="C")
    if inputs.dtype == np.uint8:
        floats /= np.float32(255)
    return floats


def _check_shape(shape: tuple[int, ...], *, source: str) -> None:
    if len(shape) != 4 or 0 in shape:
        hint = " Images without an axis of channels get one: inputs[:, None]." if len(shape) == 3 else ""
        raise BenchError(f"{source}: expected inputs of shape (N, C, H, W), none of them 0, but got {shape}.{hint}")
    _, channels, height, width = shape
    if channels not in _CHANNELS and (width in _CHANNELS or channels == height != width):
        raise BenchError(
            f"{source}: expected inputs of shape (N, C, H, W), but got {shape}, which looks like (N, H, W, C):"
            " inputs.transpose(0, 3, 1, 2) puts channels first."
        )


def _in_range(inputs: NDArray[Any], *, source: str) -> tuple[NDArray[Any], str | None]:
    """The inputs, without an excess of rounding size; and a remark."""
    if inputs.dtype.kind not in "f" and inputs.dtype != np.uint8:
        raise BenchError(
            f"{source}: expected inputs as uint8, or as floats in [0, 1], but got type {inputs.dtype}{_whole(inputs)}."
        )
    if inputs.dtype == np.uint8:
        dark = int(inputs.max()) / 255 <= _ALMOST_BLACK
        return inputs, _almost_black(f"{int(inputs.max())} of 255", source) if dark else None
    finite = np.isfinite(inputs)
    if not finite.all():
        first = tuple(int(place) for place in np.unravel_index(np.argmin(finite), inputs.shape))
        raise BenchError(
            f"{source}: expected finite inputs, but got {inputs[first]} at {list(first)};"
            f" {finite.size - finite.sum()} of {finite.size} values are not finite."
        )
    low, high = float(inputs.min()), float(inputs.max())
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        raise BenchError(
            f"{source}: expected inputs in [0, 1], but got values from {low:.9g} to {high:.9g}. {_advice(inputs)}"
        )
    if low < 0 or high > 1:
        remark = f"{source}: clipped to [0, 1], since values from {low:.9g} to {high:.9g} are rounding."
        return np.clip(inputs, 0, 1), remark
    return inputs, _almost_black(f"{high:.3g}", source) if high <= _ALMOST_BLACK else None


def _whole(inputs: NDArray[Any]) -> str:
    """What to do about whole numbers that are no bytes."""
    if inputs.dtype.kind not in "iub":
        return ""
    low, high = int(inputs.min()), int(inputs.max())
    if low < 0 or high > 255:
        return f" from {low} to {high}"
    return f" from {low} to {high}: take inputs.astype('{'uint8' if high > 1 else 'float32'}')"


def _almost_black(brightest: str, source: str) -> str:
    why = "divided by 255 twice, or levels of another range than bytes have?"
    return f"{source}: the brightest value is {brightest}, almost black: {why}"


def _advice(inputs: NDArray[Any]) -> str:
    """What to do about floats that are not in [0, 1], by the range they are in."""
    low, high = float(inputs.min()), float(inputs.max())
    outside = float(np.mean((inputs < 0) | (inputs > 1)))
    if low >= -_OVERSHOOT and high <= 1 + _OVERSHOOT and outside <= _OVERSHOOTING:
        return f"Where resizing overshoots ({outside:.2%} of the values here), clip: np.clip(inputs, 0, 1)."
    if low >= -_ROUNDING:
        white = 255 if high <= 255 * (1 + _ROUNDING) else 65535
        return f"Divide by the value of white ({white} for {'bytes' if white == 255 else '16 bits'})."
    if low >= -1 - _ROUNDING and high <= 1 + _ROUNDING:
        return "Undo the scaling to [-1, 1], which belongs into the model: (inputs + 1) / 2."
    return "Undo the normalisation, which belongs into the model: inputs * std + mean."


def _check_labels(content: Content, *, source: str) -> None:
    labels: NDArray[Any] = content.labels
    n_classes = len(content.class_names)
    count = len(content.inputs)
    if labels.ndim == 2 and labels.shape[0] == count and labels.shape[1] > 1:
        raise BenchError(
            f"{source}: expected labels of shape ({count},), the numbers of the classes, but got {labels.shape}."
            " One-hot labels are numbers by labels.argmax(1)."
        )
    if labels.shape != (count,):
        hint = " Flatten them: labels.ravel()." if labels.size == count and labels.ndim else ""
        raise BenchError(f"{source}: expected {count} labels of shape ({count},), but got shape {labels.shape}.{hint}")
    if labels.dtype.kind not in "iu":
        raise BenchError(
            f"{source}: expected integer labels, the numbers of the classes from 0, but got type {labels.dtype}, such"
            f" as {labels[0].item()!r:.60}. {_as_numbers(labels)}"
        )
    outside = np.flatnonzero((labels < 0) | (labels >= n_classes))
    if len(outside):
        first = outside[0]
        low, high = int(labels.min()), int(labels.max())
        steps = {1: " Where they count from 1, subtract 1.", -1: " Where they count from -1, add 1."}
        hint = steps.get(low, " Where there are more classes, class_names or --class-names FILE names all of them.")
        raise BenchError(
            f"{source}: expected labels from 0 to {max(n_classes, 1) - 1}, one for each of {n_classes} classes, but"
            f" label {labels[first]} of example {first} is out of range: they run from {low} to {high}.{hint}"
        )
    expect_classes(content.class_names, count, source=source)


def expect_classes(class_names: Sequence[str], count: int, *, source: str) -> None:
    """Refuse data of one class.

    Raises:
        BenchError: if there are fewer than two.
    """
    if len(class_names) < 2:
        raise BenchError(
            f"{source}: expected at least 2 classes, but all {count} labels are 0. Name the model's classes, one a line"
            " in its order: --class-names FILE."
        )


def _as_numbers(labels: NDArray[Any]) -> str:
    """What to do about labels that are no integers."""
    if labels.dtype.kind == "b" or (labels.dtype.kind == "f" and bool(np.all(labels == np.rint(labels)))):
        return "Take labels.astype('int64')."
    if labels.dtype.kind in "US":
        return "Give the number of each in the model's order, and the names in that order as class_names."
    return "Give each example the number of its class."
