"""A model's answers to fixed inputs: those of one function agree on every machine but for rounding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.row.packing import unpack_logits

__all__ = ["FINGERPRINT_TOLERANCE", "Fingerprint", "fingerprint_distance", "same_function"]

FINGERPRINT_TOLERANCE = 1e-4
"""How far rounding alone may move a logit, relative to the largest of its input.

Measured on every shipped checkpoint: in batches or alone, with and without oneDNN, channels last, or in float64 in
place of float32, at most 1e-5. Ten times that leaves room for other devices and deeper networks.
"""


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """Float32 logits on fixed inputs.

    Args:
        logits: of each input, known by the first digits of its SHA-256, as `packing.pack_logits` writes them.

    Raises:
        ValueError: if there are none, or they are not packed so.
    """

    logits: dict[str, str]

    def __post_init__(self) -> None:
        if not self.logits:
            raise ValueError("Expected `logits` of at least one input, but got none.")
        for text in self.logits.values():
            unpack_logits(text)


def same_function(first: Fingerprint | None, second: Fingerprint | None) -> bool | None:
    """Whether two fingerprints are of one function; None where that is unknown, as `distance` is."""
    apart = fingerprint_distance(first, second)
    return None if apart is None else apart <= FINGERPRINT_TOLERANCE


def fingerprint_distance(first: Fingerprint | None, second: Fingerprint | None) -> float | None:
    """The largest difference of two logits, relative to the largest of their input.

    Returns:
        Infinity where the numbers of classes differ, or other logits are not finite; None where a fingerprint is
        missing or no input is common to both.
    """
    if first is None or second is None:
        return None
    common = first.logits.keys() & second.logits.keys()
    return max(
        (_apart(unpack_logits(first.logits[key]), unpack_logits(second.logits[key])) for key in common), default=None
    )


def _apart(first: Sequence[float], second: Sequence[float]) -> float:
    finite = [math.isfinite(value) for value in first]
    if finite != [math.isfinite(value) for value in second]:
        return math.inf
    pairs = [pair for pair, known in zip(zip(first, second, strict=True), finite, strict=True) if known]
    largest = max((abs(value) for pair in pairs for value in pair), default=0.0)
    return max(abs(one - other) for one, other in pairs) / largest if largest else 0.0
