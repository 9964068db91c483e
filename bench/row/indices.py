"""Which examples of a split: `0:1000`, or `0:64,70:71` where the positions have gaps."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

__all__ = ["format_indices", "listed_indices", "parse_indices"]

_MOST_EXAMPLES = 1_000_000  # twenty times ImageNet's validation split
_LONGEST = 100_000
_SHOWN = 8
_RANGES = re.compile(r"[0-9]{1,9}:[0-9]{1,9}(,[0-9]{1,9}:[0-9]{1,9})*")


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


@lru_cache(maxsize=8)  # the rows of a board have the same few
def parse_indices(text: str) -> tuple[int, ...]:
    """Read what `format_indices` wrote.

    Raises:
        ValueError: if `text` is not such a list, a range in it is empty, two overlap, or no data set has so many.
    """
    if len(text) > _LONGEST or not _RANGES.fullmatch(text):
        raise ValueError(f"Expected `indices` as START:STOP ranges, such as 0:1000, but got {text!r:.60}.")
    ranges = [tuple(int(end) for end in part.split(":")) for part in text.split(",")]
    if any(start >= stop for start, stop in ranges):
        raise ValueError(f"Expected every range of `indices` to hold an example, but got {text!r:.60}.")
    ordered = sorted(ranges)
    if any(stop > start for (_, stop), (start, _) in itertools.pairwise(ordered)):
        raise ValueError(f"Expected every example of `indices` once, but got {text!r:.60}.")
    if ordered[-1][1] > _MOST_EXAMPLES:
        raise ValueError(f"Expected `indices` below {_MOST_EXAMPLES:,}, but got {text!r:.60}.")
    return tuple(index for start, stop in ranges for index in range(start, stop))


def listed_indices(indices: Iterable[int]) -> str:
    """The first few, in order, for a message.

    >>> listed(range(10))
    '0, 1, 2, 3, 4, 5, 6, 7 and 2 more'
    """
    ordered = sorted(indices)
    more = f" and {len(ordered) - _SHOWN} more" if len(ordered) > _SHOWN else ""
    return ", ".join(map(str, ordered[:_SHOWN])) + more
