"""The file of adversarial examples beside a row, and how it is read by people who do not trust its writer.

A `.npz` without pickles: `format` (1), the arrays of `Breaks`, and for the row's own evidence a gallery, the first few
broken examples as pixels, so that they can be shown where the data set is not at hand.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from bench.row.arrays import npz
from bench.row.arrays.adversarials import LAYOUTS, Breaks
from bench.row.arrays.npz import Layout

__all__ = ["GALLERY_SIZE", "Gallery", "dump_evidence", "load_evidence", "load_gallery", "most_evidence_bytes"]

GALLERY_SIZE = 8

_FORMAT = 1
_HEADERS = 64 * 1024
_VERSION = {"format": Layout(kinds=("int64",), ndim=0)}
_PER_BREAK = sum(np.dtype(layout.kinds[0]).itemsize for layout in LAYOUTS.values() if layout.ndim == 1)
_LARGEST_PIXEL = 4
_GALLERY: Mapping[str, Layout] = MappingProxyType(
    {
        "gallery_indices": Layout(kinds=("int64",), ndim=1, optional=True),
        "gallery_clean": Layout(kinds=("uint8",), ndim=4, optional=True),
        "gallery_adversarial": Layout(kinds=("uint8",), ndim=4, optional=True),
        "gallery_classes": Layout(kinds=("str",), ndim=2, optional=True),
    }
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Gallery:
    """A few adversarial examples to look at, in 8-bit pixels (rounded where the originals are not 8-bit).

    Args:
        indices: int64 `(S,)`, positions in the official split.
        clean: uint8 `(S, C, H, W)`.
        adversarial: uint8 `(S, C, H, W)`.
        classes: text `(S, 2)`: the name of the true class, and of what the model says instead. A stranger may have
            written it: escape it.

    Raises:
        ValueError: if the arrays do not fit each other.
    """

    indices: NDArray[np.int64]
    clean: NDArray[np.uint8]
    adversarial: NDArray[np.uint8]
    classes: NDArray[np.str_]

    def __post_init__(self) -> None:
        if self.clean.shape != self.adversarial.shape or len(self.clean) != len(self.indices):
            raise ValueError(f"Expected the gallery's images in pairs, but got {self.clean.shape} clean ones.")
        if self.classes.shape != (len(self.indices), 2):
            raise ValueError(f"Expected two class names for each pair, but got {self.classes.shape}.")
        if len(self.indices) and 0 in self.clean.shape:
            raise ValueError(f"Expected images of some pixels in the gallery, but got shape {self.clean.shape}.")
        if len(self.indices) > GALLERY_SIZE:
            raise ValueError(f"Expected at most {GALLERY_SIZE} pairs in the gallery, but got {len(self.indices)}.")


def dump_evidence(breaks: Breaks, gallery: Gallery | None = None) -> bytes:
    """The file's bytes; the same for the same content."""
    pictures = {} if gallery is None else {name: getattr(gallery, name.removeprefix("gallery_")) for name in _GALLERY}
    return npz.dump_arrays({"format": np.array(_FORMAT, np.int64), **breaks.arrays, **pictures})


def load_evidence(content: bytes, *, most_bytes: int) -> Breaks:
    """Read the breaks.

    Args:
        content: the file's bytes.
        most_bytes: memory that they may take, see `most_bytes`.

    Raises:
        ValueError: if it is not such a file, or would take more memory.
    """
    found = npz.load_arrays(content, {**_VERSION, **LAYOUTS, **_GALLERY}, most_bytes=most_bytes)
    _check_format(found)
    return Breaks(**{name: found[name] for name in LAYOUTS})


def load_gallery(content: bytes, *, shape: tuple[int, ...]) -> Gallery | None:
    """Read the gallery alone; None where there is none.

    Args:
        content: the file's bytes.
        shape: `(C, H, W)` of which its images are at most.

    Raises:
        ValueError: if it is not such a file, is larger, or the gallery does not fit itself.
    """
    found = npz.load_arrays(content, {**_VERSION, **_GALLERY}, most_bytes=most_evidence_bytes(0, shape), partial=True)
    _check_format(found)
    missing = [name for name in _GALLERY if name not in found]
    if len(missing) == len(_GALLERY):
        return None
    if missing:
        raise ValueError(f"Expected a whole gallery, but it has no {missing[0]}.")
    return Gallery(**{name.removeprefix("gallery_"): found[name] for name in _GALLERY})


def most_evidence_bytes(n_breaks: int, shape: tuple[int, ...]) -> int:
    """Memory that a file of `n_breaks` inputs of `shape` `(C, H, W)` can need, gallery and headers included."""
    pixels = math.prod(shape)
    return n_breaks * (_PER_BREAK + _LARGEST_PIXEL * pixels) + 2 * GALLERY_SIZE * pixels + _HEADERS


def _check_format(found: Mapping[str, npz.Array]) -> None:
    if int(found["format"]) != _FORMAT:
        raise ValueError(f"Expected evidence of format {_FORMAT}, but got {int(found['format'])}. Update bench.")
