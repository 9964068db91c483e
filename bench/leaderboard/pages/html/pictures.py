"""Stored adversarial examples as PNG images inside the page.

They are not compressed: noise hardly can be, and what a compressor makes of it differs between its versions.
OUR CHOICE: images wider than they are shown are scaled down, and a board of many rows shows fewer of each, so that the
page stays a few MB.
"""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.core import digest
from bench.leaderboard.pages.tables import Entry
from bench.row.arrays import GALLERY_SIZE

__all__ = ["Pair", "all_pictures", "pairs_each", "pictures", "png"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _COLOUR = 0, 2
_BLOCK = 65535
_NAME_DIGITS = 16
_WIDEST = 96  # pixels that a picture has on the page
_MOST_BYTES = 6 << 20  # of all pictures together


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A clean image and an adversarial one; `clean` and `adversarial` name them among `all_pictures`."""

    index: int
    label: str
    predicted: str
    clean: str
    adversarial: str


def pairs_each(entries: Iterable[Entry]) -> int:
    """How many pairs each row may show, so that all together fit the page."""
    sizes = [_shown(gallery.clean[0]).size for each in entries if (gallery := each.row.gallery) and len(gallery.clean)]
    return min(GALLERY_SIZE, _MOST_BYTES // max(1, sum(sizes) * 8 // 3))  # two of them, in base64


def pictures(entry: Entry, most: int = GALLERY_SIZE) -> tuple[Pair, ...]:
    """The first pairs that a row shows; none where its images are neither grey nor in colour."""
    gallery = entry.row.gallery
    if gallery is None or gallery.clean.shape[1] not in (1, 3):
        return ()
    return tuple(
        Pair(
            index=int(index),
            label=str(label),
            predicted=str(predicted),
            clean=_name(_shown(clean)),
            adversarial=_name(_shown(adversarial)),
        )
        for index, (label, predicted), clean, adversarial in zip(
            gallery.indices[:most],
            gallery.classes[:most],
            gallery.clean[:most],
            gallery.adversarial[:most],
            strict=True,
        )
    )


def all_pictures(entries: Iterable[Entry], most: int = GALLERY_SIZE) -> dict[str, str]:
    """Every image that a row shows, once, as a `data:` address by its name."""
    found: dict[str, str] = {}
    for entry in entries:
        if pictures(entry) and entry.row.gallery is not None:
            for image in (*entry.row.gallery.clean[:most], *entry.row.gallery.adversarial[:most]):
                small = _shown(image)
                found[_name(small)] = "data:image/png;base64," + base64.b64encode(png(small)).decode()
    return dict(sorted(found.items()))


def png(image: NDArray[np.uint8]) -> bytes:
    """A PNG file of an image `(C, H, W)`, C being 1 or 3; the same bytes wherever it is made."""
    channels, height, width = image.shape
    rows = image.transpose(1, 2, 0).reshape(height, width * channels)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    kind = _GREY if channels == 1 else _COLOUR
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", _stored(raw)) + _chunk(b"IEND", b"")


def _stored(raw: bytes) -> bytes:
    """A zlib stream (RFC 1950) of stored blocks."""
    starts = range(0, len(raw), _BLOCK)
    blocks = [
        struct.pack("<BHH", start == starts[-1], len(part), 0xFFFF ^ len(part)) + part
        for start in starts
        for part in (raw[start : start + _BLOCK],)
    ]
    return b"\x78\x01" + b"".join(blocks) + struct.pack(">I", zlib.adler32(raw))


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _shown(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image as it is, or the mean of squares of its pixels where it is larger than its place."""
    channels, height, width = image.shape
    side = -(-max(height, width) // _WIDEST)
    if side == 1:
        return image
    whole = image[:, : height // side * side, : width // side * side].astype(np.float64)
    squares = whole.reshape(channels, height // side, side, width // side, side)
    return np.asarray(squares.mean(axis=(2, 4)).round(), dtype=np.uint8)


def _name(image: NDArray[np.uint8]) -> str:
    return digest.of_bytes(str(image.shape).encode(), np.ascontiguousarray(image).tobytes())[:_NAME_DIGITS]
