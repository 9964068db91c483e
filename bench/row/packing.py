"""Verdicts, margins and logits as short strings: bits, float16 and float32 numbers in base64."""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Sequence

__all__ = ["pack_logits", "pack_margins", "pack_verdicts", "unpack_logits", "unpack_margins", "unpack_verdicts"]

_LARGEST_FLOAT16 = 65504.0
_ROUNDS_TO_INFINITY = 65520.0


def pack_verdicts(verdicts: Sequence[bool]) -> str:
    """Pack one bit per example, first example in the highest bit of the first byte, zero-filled.

    >>> pack_verdicts([True, False, True])
    'oA=='
    """
    packed = bytearray((len(verdicts) + 7) // 8)
    for position, verdict in enumerate(verdicts):
        if verdict:
            packed[position // 8] |= 0x80 >> position % 8
    return base64.b64encode(packed).decode("ascii")


def unpack_verdicts(text: str, count: int) -> tuple[bool, ...]:
    """Read back `count` verdicts.

    Raises:
        ValueError: if `text` is not base64, is not as long as `count` needs, or sets a bit past the end.
    """
    packed = _decode(text, (count + 7) // 8)
    bits = tuple(map("1".__eq__, f"{int.from_bytes(packed, 'big'):0{8 * len(packed)}b}")) if count else ()
    if any(bits[count:]):
        raise ValueError(f"Expected verdicts of {count} examples, but got bits past the last one.")
    return bits[:count]


def pack_margins(margins: Sequence[float]) -> str:
    """Pack margins as little-endian float16, rounded to nearest; beyond its range they become infinite.

    >>> unpack_margins(pack_margins([0.5, -1e9]), 2)
    (0.5, -inf)
    """
    packed = struct.pack(f"<{len(margins)}e", *(_fit(margin) for margin in margins))
    return base64.b64encode(packed).decode("ascii")


def unpack_margins(text: str, count: int) -> tuple[float, ...]:
    """Read back `count` margins.

    Raises:
        ValueError: if `text` is not base64, is not as long as `count` needs, or holds what is no number.
    """
    margins = struct.unpack(f"<{count}e", _decode(text, 2 * count))
    if any(map(math.isnan, margins)):
        raise ValueError("Expected margins, but got one that is no number.")
    return margins


def pack_logits(logits: Sequence[float]) -> str:
    """Pack logits as little-endian float32.

    >>> unpack_logits(pack_logits([0.5, -2.0]))
    (0.5, -2.0)
    """
    return base64.b64encode(struct.pack(f"<{len(logits)}f", *logits)).decode("ascii")


def unpack_logits(text: str) -> tuple[float, ...]:
    """Read back as many logits as there are.

    Raises:
        ValueError: if `text` is not base64 of whole numbers of float32.
    """
    packed = _decode(text)
    if len(packed) % 4:
        raise ValueError(f"Expected packed float32 numbers, but got {len(packed)} bytes.")
    return struct.unpack(f"<{len(packed) // 4}f", packed)


def _fit(margin: float) -> float:
    """The margin as a number that `struct` accepts for float16 (it refuses what overflows)."""
    if abs(margin) <= _LARGEST_FLOAT16 or not math.isfinite(margin):
        return margin
    largest = math.inf if abs(margin) >= _ROUNDS_TO_INFINITY else _LARGEST_FLOAT16
    return math.copysign(largest, margin)


def _decode(text: str, size: int | None = None) -> bytes:
    if size is not None and len(text) != 4 * ((size + 2) // 3):
        raise ValueError(f"Expected {size} packed bytes, but got {len(text)} characters of base64.")
    try:
        packed = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"Expected base64, but got {text[:20]!r}.") from None
    if size is not None and len(packed) != size:
        raise ValueError(f"Expected {size} packed bytes, but got {len(packed)}.")
    return packed
