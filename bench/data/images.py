"""Image files to bytes `(N, C, H, W)`."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.core.errors import BenchError
from bench.core.regular_file import read_regular

__all__ = ["MOST_BYTES", "SUFFIXES", "is_grey", "opened", "read"]

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})

MOST_BYTES = 256 << 20
"""No image file that bench reads is larger."""

_FORMATS = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # Pillow knows others, and starts programs for some
_MOST_PIXELS = 89_478_485  # above, Pillow warns of a decompression bomb
_MOST_DECODED_BYTES = 32 << 30
_EIGHT_BIT_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})


@contextlib.contextmanager
def opened(content: bytes, *, source: Path) -> Iterator[Image.Image]:
    """The image in the bytes of a file, not yet decoded.

    Args:
        content: of the file; only the formats of `SUFFIXES` are tried.
        source: the file, for messages.

    Raises:
        BenchError: if it is no such image, damaged, or too large; also where that shows only while it is decoded.
    """
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            if image.width * image.height > _MOST_PIXELS:
                size = f"{image.width}x{image.height}"
                raise BenchError(f"Expected images of at most {_MOST_PIXELS:,} pixels, but {source} has {size}.")
            yield image
    except BenchError:
        raise
    except Exception as error:  # whatever a decoder raises, the file is at fault
        raise BenchError(f"Cannot read {source} as an image: the file is damaged or of another kind.") from error


def is_grey(path: Path) -> bool:
    """Whether the file holds one channel of grey.

    Raises:
        BenchError: if it is no image.
    """
    with _read(path) as image:
        return image.mode in ("1", "L")


def read(paths: Sequence[Path], *, grey: bool = False) -> NDArray[np.uint8]:
    """Decode image files of one size.

    Args:
        paths: the files, at least one.
        grey: one channel rather than red, green and blue.

    Returns:
        uint8 `(N, C, H, W)`.

    Raises:
        BenchError: if a file is damaged, deeper than 8 bits, or not of the size of the first, or all are too large.
    """
    first = _decode(paths[0], grey=grey)
    if len(paths) * first.size > _MOST_DECODED_BYTES:
        raise BenchError(
            f"Expected images that fit into {_MOST_DECODED_BYTES >> 30} GiB, but {len(paths):,} of {_size(first)} do"
            " not. Resize them to the size that the model takes."
        )
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


def _decode(path: Path, *, grey: bool) -> NDArray[np.uint8]:
    """One file as uint8 `(C, H, W)`."""
    with _read(path) as image:
        if image.mode not in _EIGHT_BIT_MODES:
            raise BenchError(f"Expected images of 8 bits per channel, but {path} has mode {image.mode!r}.")
        pixels = np.asarray(image.convert("L" if grey else "RGB"), dtype=np.uint8)
    return pixels[None] if grey else pixels.transpose(2, 0, 1)


@contextlib.contextmanager
def _read(path: Path) -> Iterator[Image.Image]:
    try:
        content = read_regular(path, most_bytes=MOST_BYTES)
    except OSError as error:
        raise BenchError(f"Cannot read {path} as an image: {error.strerror or error}.") from error
    with opened(content, source=path) as image:
        yield image
