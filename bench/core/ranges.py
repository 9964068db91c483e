"""Which examples of a split: `0:1000`, or `0:64,70:71` where the positions have gaps."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["format_indices", "parse_indices"]

_MOST_EXAMPLES = 100_000_000
_RANGES = re.compile(r"\d+:\d+(,\d+:\d+)*")


def format_indices(indices: Sequence[int]) -> str:
    """Write positions, in their order, as half-open ranges.

    >>> format_indices([0, 1, 2, 7])
    '0:3,7:8'
    """
    ranges: list[list[int]] = []
    for index in indices:
        if ranges and ranges[-1][1] == index:
            ranges[-1][1] += 1
        else:
            ranges.append([index, index + 1])
    return ",".join(f"{start}:{stop}" for start, stop in ranges)


def parse_indices(text: str) -> tuple[int, ...]:
    """Read what `format_indices` wrote.

    Raises:
        ValueError: if `text` is not such a list, a range in it is empty, or there are too many to be a data set's.
    """
    if not _RANGES.fullmatch(text):
        raise ValueError(f"Expected `indices` as START:STOP ranges, such as 0:1000, but got {text!r}.")
    ranges = [tuple(int(end) for end in part.split(":")) for part in text.split(",")]
    if any(start >= stop for start, stop in ranges):
        raise ValueError(f"Expected every range of `indices` to hold an example, but got {text!r}.")
    if sum(stop - start for start, stop in ranges) > _MOST_EXAMPLES:
        raise ValueError(f"Expected `indices` to hold at most {_MOST_EXAMPLES:,} examples, but got {text!r}.")
    return tuple(index for start, stop in ranges for index in range(start, stop))
