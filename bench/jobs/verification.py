"""What verifying a row found: a list of checks, and the number that the evidence gives."""

from __future__ import annotations

from dataclasses import dataclass

from bench.row.check_result import CheckResult, Level
from bench.row.record import Record
from bench.storage.place import Place

__all__ = ["Marginal", "Verification"]


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
        checks: in the order of their making, of "row", "suite", "data", "weights", "fingerprint", "evidence", "clean",
            "breaks", "counts" and "external".
        n_robust: correct examples without a confirmed break of the row's suite; None where nothing could be judged.
        headline: the same without those that others broke.
        marginal: verdicts that rounding may turn.
        seconds: that it took.
    """

    path: Place
    record: Record | None
    checks: tuple[CheckResult, ...]
    n_robust: int | None
    headline: int | None
    marginal: tuple[Marginal, ...]
    seconds: float

    @property
    def failed(self) -> bool:
        """Whether something that the row says does not hold."""
        return any(check.level is Level.FAIL for check in self.checks)
