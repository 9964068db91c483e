"""When APGD considers halving its step size (Croce and Hein 2020, arXiv 2003.01690, section 3.2)."""

from __future__ import annotations

__all__ = ["windows"]


def windows(steps: int) -> dict[int, int]:
    """Checkpoints of a run, each with the number of steps since the one before.

    The first window is 22 % of the steps, each later one 3 % shorter, down to 6 %.

    >>> windows(100)
    {22: 22, 41: 19, 57: 16, 70: 13, 80: 10, 87: 7, 93: 6, 99: 6}
    """
    window, shortest, shrink = (max(steps * percent // 100, 1) for percent in (22, 6, 3))
    found: dict[int, int] = {}
    end = window
    while end <= steps:
        found[end] = window
        window = max(window - shrink, shortest)
        end += window
    return found
