"""Image files to bytes `(N, C, H, W)`."""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.core.errors import BenchError
from bench.data.memory import expect_to_fit
from bench.storage import read_regular

__all__ = ["MOST_BYTES", "MOST_PIXELS", "SUFFIXES", "Survey", "opened", "read", "survey"]

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})

MOST_BYTES = 256 << 20
"""No image file that bench reads is larger."""

_FORMATS = ("BMP", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # Pillow knows others, and starts programs for some
MOST_PIXELS = 89_478_485  # above, Pillow warns of a decompression bomb
_EIGHT_BIT_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})
_ORIENTATION = 0x0112  # of EXIF
_UPRIGHT = (None, 0, 1)


class Survey(NamedTuple):
    """What the headers of image files say.

    Attributes:
        grey: whether every image has one channel of grey.
        remarks: what a reader should know of how they are decoded, a line each.
    """

    grey: bool
    remarks: tuple[str, ...]


@contextlib.contextmanager
def opened(content: bytes, *, source: Path) -> Iterator[Image.Image]:
    """The image in the bytes of a file, not yet decoded.

    Args:
        content: of the file; only the formats of `SUFFIXES` are tried.
        source: the file, for messages.

    Raises:
        BenchError: if it is no such image, damaged, too large, or deeper than 8 bits; also where that shows only while
            it is decoded.
    """
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            if image.width * image.height > MOST_PIXELS:
                size = f"{image.width}x{image.height}"
                raise BenchError(f"Expected images of at most {MOST_PIXELS:,} pixels, but {source} has {size}.")
            deep = _deep(image)
            if deep:
                raise BenchError(f"Expected images of 8 bits per channel, but {source} has {deep}. Convert it.")
            yield image
    except BenchError:
        raise
    except Exception as error:  # whatever a decoder raises, the file is at fault
        raise BenchError(f"Cannot read {source} as an image: the file is damaged or of another kind.") from error


def _deep(image: Image.Image) -> str:
    """What has more than 8 bits: the mode, or what is stored, of which Pillow would keep the high bits; "" if none."""
    if image.mode not in _EIGHT_BIT_MODES:
        return f"mode {image.mode!r}"
    for tile in getattr(image, "tile", ()):
        stored = tile.args if isinstance(tile.args, tuple) else (tile.args,)
        deep = any(isinstance(each, str) and ";16" in each for each in stored)
        if deep or (tile.codec_name.startswith("ppm") and stored[-1] > 255):
            return "pixels of more"
    return ""


def survey(paths: Sequence[Path]) -> Survey:
    """Look at the headers of image files; nothing is decoded.

    Raises:
        BenchError: if a file is no image, or one of too many pixels.
    """
    n_grey, transparent, turned = 0, [], []
    for path in paths:
        with _read(path) as image:
            n_grey += image.mode in ("1", "L")
            if "A" in image.getbands() or "transparency" in image.info:
                transparent.append(path)
            if _orientation(image) not in _UPRIGHT:
                turned.append(path)
    remarks = []
    if 0 < n_grey < len(paths):
        remarks.append(f"{n_grey} of {len(paths)} images are grey; like the others, they get three channels.")
    if transparent:
        remarks.append(f"{len(transparent)} images lose their transparency, as by torchvision: {transparent[0]}")
    if turned:
        remarks.append(f"{len(turned)} images are not turned as their EXIF says, as by torchvision: {turned[0]}")
    return Survey(grey=n_grey == len(paths), remarks=tuple(remarks))


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
    shape = (len(paths), *first.shape)
    expect_to_fit(shape, source=f"{len(paths)} images of {_size(first)} such as {paths[0]}")
    images = np.empty(shape, dtype=np.uint8)
    for number, path in enumerate(paths):
        image = _decode(path, grey=grey)
        if image.shape != first.shape:
            raise BenchError(
                f"Expected images of one size, but {paths[0]} has {_size(first)} and {path} has {_size(image)}."
                " --resize HxW, or --resize N --crop N, makes them so."
            )
        images[number] = image
    return images


def _size(image: NDArray[np.uint8]) -> str:
    return f"{image.shape[2]}x{image.shape[1]}"


def _orientation(image: Image.Image) -> object:
    """The EXIF orientation; None where there is none, or none that can be read."""
    if image.format == "PNG" and "exif" not in image.info:  # Pillow would decode it to look behind its pixels
        return None
    try:
        return image.getexif().get(_ORIENTATION)
    except (OSError, ValueError, SyntaxError, LookupError, TypeError, EOFError, struct.error):
        return None


def _decode(path: Path, *, grey: bool) -> NDArray[np.uint8]:
    """One file as uint8 `(C, H, W)`."""
    with _read(path) as image:
        pixels = np.asarray(image.convert("L" if grey else "RGB"), dtype=np.uint8)
    return pixels[None] if grey else pixels.transpose(2, 0, 1)


@contextlib.contextmanager
def _read(path: Path) -> Iterator[Image.Image]:
    try:
        content = read_regular(path, most_bytes=MOST_BYTES)
    except OSError as error:
        raise BenchError(f"Cannot read {path} as an image: {error.strerror or error}.") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of many pixels, which `opened` refuses, and of odd metadata
        with opened(content, source=path) as image:
            yield image
