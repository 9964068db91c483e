"""Which examples an audit looks at: those whose key is below a fixed rate.

The key is a hash of the example's official index alone. So shards, resumed, merged and longer runs audit the same
examples, of every model, and a row shows by itself which they were.
"""

from __future__ import annotations

import hashlib
from fractions import Fraction

__all__ = ["is_audited"]

_BITS = 64


def is_audited(index: int, rate: Fraction) -> bool:
    """Whether the example is audited.

    >>> sum(is_audited(index, Fraction(1, 16)) for index in range(10_000))
    622

    Args:
        index: its position in the official split.
        rate: share of all examples, in [0, 1].
    """
    key = int.from_bytes(hashlib.sha256(f"audit {index}".encode()).digest()[: _BITS // 8], "big")
    return bool(key < rate * 2**_BITS)
