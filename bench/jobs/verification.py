"""What verifying a row found: a list of checks, and the number that the evidence gives."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from bench.row.record import Record
from bench.storage.place import Place

__all__ = ["Check", "Marginal", "Status", "Verification"]


class Status(str, enum.Enum):
    """How a check ended.

    Attributes:
        PASS: what the row says holds.
        WARN: it holds, but the reader should know something.
        FAIL: what the row says does not hold.
        SKIP: it could not be checked; the check says why.
    """

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was checked.

    Args:
        name: what: "row", "suite", "data", "weights", "fingerprint", "evidence", "clean", "breaks", "counts" or
            "external".
        status: how it ended.
        says: the finding, one sentence.
    """

    name: str
    status: Status
    says: str


@dataclass(frozen=True, kw_only=True)
class Marginal:
    """A verdict that float32 rounding alone may turn; it is listed, and counts as the row says.

    Args:
        index: of the example in the official split.
        margin: `z_y - max_{k != y} z_k`, as measured here.
        of: "clean", "break" or "external".
    """

    index: int
    margin: float
    of: str


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was found.

    Args:
        path: where the row lies.
        record: the row; None where it contradicts itself so that it cannot be used.
        checks: in the order of their making.
        n_robust: correct examples without a confirmed break of the row's suite; None where nothing could be judged.
        headline: the same without those that others broke.
        marginal: verdicts that rounding may turn.
        seconds: that it took.
    """

    path: Place
    record: Record | None
    checks: tuple[Check, ...]
    n_robust: int | None
    headline: int | None
    marginal: tuple[Marginal, ...]
    seconds: float

    @property
    def failed(self) -> bool:
        """Whether something that the row says does not hold."""
        return any(check.status is Status.FAIL for check in self.checks)
