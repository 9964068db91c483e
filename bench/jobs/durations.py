"""Durations as people write and read them."""

from __future__ import annotations

import math
import re

from bench.core.errors import BenchError

__all__ = ["in_short", "in_words", "parse_duration"]

_PARTS = re.compile(r"(?:(?P<h>\d+(?:\.\d+)?)h)?(?:(?P<m>\d+(?:\.\d+)?)m)?(?:(?P<s>\d+(?:\.\d+)?)s)?", re.IGNORECASE)
_SECONDS = {"h": 3600, "m": 60, "s": 1}


def parse_duration(text: str) -> float:
    """Read `90s`, `10m` or `1h30m` as seconds.

    >>> parse_duration("1h30m")
    5400.0

    Raises:
        BenchError: if the text is no duration, or no time at all.
    """
    match = _PARTS.fullmatch(text.replace(" ", ""))
    seconds = sum(float(match[unit] or 0) * size for unit, size in _SECONDS.items()) if match else 0.0
    if not 0 < seconds < math.inf:
        raise BenchError(f"Expected a duration above 0, such as 90s, 10m or 1h30m, but got {text!r}.")
    return seconds


def in_short(seconds: float) -> str:
    """At least so many seconds, as `parse_duration` reads them.

    >>> in_short(5341)
    '1h30m'
    """
    if seconds <= 120:
        return f"{max(1, math.ceil(seconds))}s"
    hours, minutes = divmod(math.ceil(seconds / 60), 60)
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes else "")


def in_words(seconds: float) -> str:
    """A duration, roughly.

    >>> in_words(5400)
    '1.5 hours'
    """
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return "a second" if seconds < 1.5 else f"{round(seconds)} seconds"
