"""Breaks that anyone claims: a `.npz` with `indices`, and `inputs` or `deltas`. Nothing in it is believed.

Bytes count in steps of 1/255, floats in input units; `x' = clip(x + delta, 0, 1)`, as in a row's own evidence.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from bench.core.errors import BenchError
from bench.data import Dataset
from bench.row.arrays import LEVELS, Array, Layout, load_arrays
from bench.storage import read_regular

__all__ = ["Claims", "read_claims"]

_WHOLE = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")
_LAYOUTS = {
    "indices": Layout(kinds=_WHOLE, ndim=1),
    "inputs": Layout(kinds=("float32", "float64", "uint8"), ndim=4, optional=True),
    "deltas": Layout(kinds=("float32", "float64", "int8"), ndim=4, optional=True),
}
_LARGEST_NUMBER = 8
_HEADERS = 64 * 1024


class Claims(NamedTuple):
    """What somebody claims to be adversarial.

    Attributes:
        indices: int64 `(N,)`, positions in the official split, ascending, each once.
        points: float32 `(N, C, H, W)`; they may lie anywhere.
    """

    indices: Tensor
    points: Tensor


def read_claims(path: Path, dataset: Dataset) -> Claims:
    """Read claimed breaks of examples of `dataset`.

    Raises:
        BenchError: if the file is missing, damaged, too large, or does not fit the data.
    """
    pixels = int(np.prod(dataset.shape))
    most = len(dataset) * _LARGEST_NUMBER * (pixels + 1) + _HEADERS
    try:
        found = load_arrays(read_regular(path, most_bytes=most), _LAYOUTS, most_bytes=most)
        return _claims(found, dataset)
    except OSError as error:
        raise BenchError(f"Cannot read breaks {path}: {error.strerror or error}.") from error
    except ValueError as error:
        raise BenchError(f"Cannot read {path} as breaks (docs/evidence.md has the format): {error}") from error


def _claims(found: dict[str, Array], dataset: Dataset) -> Claims:
    given = [name for name in ("inputs", "deltas") if name in found]
    if len(given) != 1:
        raise ValueError(f"Expected either inputs or deltas, but got {' and '.join(given) or 'neither'}.")
    (name,) = given
    values, indices = found[name], found["indices"].astype(np.int64)
    expected = (len(indices), *dataset.shape)
    if values.shape != expected or not len(indices):
        raise ValueError(f"Expected {name} of shape {expected}, one at least, but got {values.shape}.")
    if len(set(indices.tolist())) < len(indices):
        raise ValueError("Expected one break per example, but an index occurs twice.")
    if indices.min() < 0 or indices.max() >= len(dataset):
        raise ValueError(f"Expected indices from 0 to {len(dataset) - 1}, but got {indices.min()} to {indices.max()}.")
    order = np.argsort(indices)
    ordered = torch.from_numpy(indices[order])
    points = values[order].astype(np.float64) / (1 if values.dtype.kind == "f" else LEVELS)
    if name == "deltas":
        points = (points + dataset.examples[ordered].inputs.double().numpy()).clip(0, 1)
    return Claims(indices=ordered, points=torch.from_numpy(points).float())
