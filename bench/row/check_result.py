"""What a check found: of a board's files (`bench check`), of a row (`bench verify`), of a model (`bench doctor`)."""

from __future__ import annotations

import enum
from dataclasses import dataclass

__all__ = ["CheckResult", "Level"]


class Level(str, enum.Enum):
    """How a check ended; rows store the words of the doctor's.

    Attributes:
        PASS: what was looked at is as it should be.
        WARN: it is, but the reader should know something.
        FAIL: it is not.
        NOT_APPLICABLE: there was nothing to look at.
        NOT_RUN: what was needed for an answer cannot be used, or the check itself failed: no word about the thing.
    """

    PASS = "pass"
    WARN = "warn"
    FAIL = "fail"
    NOT_APPLICABLE = "not applicable"
    NOT_RUN = "not run"


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """One check of one thing.

    Args:
        what: what was checked: "row", "evidence", "R8"; empty where whoever runs the check knows it.
        subject: of several things of that kind, which one: a path under the board.
        level: how it ended.
        evidence: what was seen, one line; may be empty where all is as it should be.
        next: what to do about it, where the evidence does not say.
        statistic: what was measured, or None.
        threshold: what the statistic is held against, or None.
    """

    what: str = ""
    subject: str = ""
    level: Level
    evidence: str = ""
    next: str = ""
    statistic: float | None = None
    threshold: float | None = None
