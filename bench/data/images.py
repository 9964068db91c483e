"""Image files to bytes `(N, C, H, W)`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.core.errors import BenchError

__all__ = ["SUFFIXES", "is_grey", "read"]

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})

_EIGHT_BIT_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})


def is_grey(path: Path) -> bool:
    """Whether the file holds one channel of grey."""
    with _open(path) as image:
        return image.mode in ("1", "L")


def read(paths: Sequence[Path], *, grey: bool = False) -> NDArray[np.uint8]:
    """Decode image files of one size.

    Args:
        paths: the files, at least one.
        grey: one channel rather than red, green and blue.

    Returns:
        uint8 `(N, C, H, W)`.

    Raises:
        BenchError: if a file is damaged, deeper than 8 bits, or not of the size of the first.
    """
    first = _decode(paths[0], grey=grey)
    images = np.empty((len(paths), *first.shape), dtype=np.uint8)
    for number, path in enumerate(paths):
        image = _decode(path, grey=grey)
        if image.shape != first.shape:
            raise BenchError(
                f"Expected images of one size, but {paths[0]} has {_size(first)} and {path} has {_size(image)}."
                " Resize them to the size that the model takes."
            )
        images[number] = image
    return images


def _size(image: NDArray[np.uint8]) -> str:
    return f"{image.shape[2]}x{image.shape[1]}"


def _open(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BenchError(f"Cannot read {path} as an image: the file is damaged or of another kind.") from error


def _decode(path: Path, *, grey: bool) -> NDArray[np.uint8]:
    """One file as uint8 `(C, H, W)`."""
    with _open(path) as image:
        if image.mode not in _EIGHT_BIT_MODES:
            raise BenchError(f"Expected images of 8 bits per channel, but {path} has mode {image.mode!r}.")
        try:
            pixels = np.asarray(image.convert("L" if grey else "RGB"), dtype=np.uint8)
        except (OSError, ValueError, SyntaxError) as error:
            raise BenchError(f"Cannot read {path} as an image: the file is damaged.") from error
    return pixels[None] if grey else pixels.transpose(2, 0, 1)
