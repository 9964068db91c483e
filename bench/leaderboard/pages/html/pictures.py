"""Stored adversarial examples as PNG images inside the page.

They are not compressed: noise hardly can be, and what a compressor makes of it differs between its versions.
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

__all__ = ["Pair", "all_pictures", "pictures", "png"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _COLOUR = 0, 2
_BLOCK = 65535
_NAME_DIGITS = 16


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A clean image and an adversarial one; `clean` and `adversarial` name them among `all_pictures`."""

    index: int
    label: str
    predicted: str
    clean: str
    adversarial: str


def pictures(entry: Entry) -> tuple[Pair, ...]:
    """The pairs that a row shows; none where its images are neither grey nor in colour."""
    gallery = entry.row.gallery
    if gallery is None or gallery.clean.shape[1] not in (1, 3):
        return ()
    return tuple(
        Pair(
            index=int(index),
            label=str(label),
            predicted=str(predicted),
            clean=_name(clean),
            adversarial=_name(adversarial),
        )
        for index, (label, predicted), clean, adversarial in zip(
            gallery.indices, gallery.classes, gallery.clean, gallery.adversarial, strict=True
        )
    )


def all_pictures(entries: Iterable[Entry]) -> dict[str, str]:
    """Every image that a row shows, once, as a `data:` address by its name."""
    found: dict[str, str] = {}
    for entry in entries:
        if pictures(entry) and entry.row.gallery is not None:
            for image in (*entry.row.gallery.clean, *entry.row.gallery.adversarial):
                found[_name(image)] = "data:image/png;base64," + base64.b64encode(png(image)).decode()
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


def _name(image: NDArray[np.uint8]) -> str:
    return digest.of_bytes(str(image.shape).encode(), np.ascontiguousarray(image).tobytes())[:_NAME_DIGITS]
