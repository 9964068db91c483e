"""Errors that a user can fix, each with the exit code that the command line gives it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "BenchError",
    "ContradictionError",
    "FoundSomethingError",
    "OtherFileError",
    "RowContradictionError",
    "UnknownNameError",
    "WorkFailedError",
    "nearest",
]


class BenchError(Exception):
    """Something that the user can fix; printed as one line, without a traceback."""

    exit_code = 2


class FoundSomethingError(BenchError):
    """A check did its work and found something wrong (a regression, contradicting evidence)."""

    exit_code = 1


class ContradictionError(ValueError):
    """Well-formed data whose parts contradict each other, such as a count and the verdicts that it counts."""


class OtherFileError(BenchError):
    """A file that is not the one whose digest was written down; whoever checks it reports it."""


class RowContradictionError(BenchError):
    """A row that can be read but contradicts itself: whoever reads it is refused, whoever checks it reports it."""


class WorkFailedError(BenchError):
    """Work that failed after its retries; what was finished is kept."""

    exit_code = 3


class UnknownNameError(BenchError):
    """A name that a registry does not hold.

    Args:
        kind: what was looked up, in the singular ("model").
        name: the name that was asked for.
        choices: the names that exist.
    """

    def __init__(self, kind: str, name: str, choices: Iterable[str]) -> None:
        self.kind = kind
        self.name = name
        self.choices = tuple(sorted(choices))
        close = nearest(name, self.choices)
        hint = f" Did you mean {close!r}?" if close else ""
        known = ", ".join(self.choices) or "none"
        super().__init__(f"Unknown {kind} {name!r}.{hint} Known: {known}.")


def nearest(name: str, choices: Iterable[str]) -> str | None:
    """Return the choice most like `name`, or None where nothing is close.

    >>> nearest("aw_net", ["aw-net", "pgd-at"])
    'aw-net'
    """
    found = difflib.get_close_matches(name.lower(), list(choices), n=1, cutoff=0.5)
    return found[0] if found else None
