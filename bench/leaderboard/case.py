"""One thing that `bench check` looked at, and what it found."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.core.errors import BenchError, FoundSomethingError, RowContradictionError
from bench.core.plain_text import one_line

__all__ = ["Case", "Level", "exit_code", "tried"]


class Level(str, enum.Enum):
    """How bad it is."""

    FINE = "fine"
    NOTE = "note"
    FINDING = "finding"
    MISTAKE = "mistake"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One check of one thing.

    Args:
        check: what was checked: "row", "pages", "evidence", "checkpoint", "against", "replay", "probe".
        subject: a path under the board, or another name of what was looked at.
        level: how bad it is.
        message: what was found and what to do about it, one line; may be empty where all is fine.
    """

    check: str
    subject: str
    level: Level
    message: str = ""


def exit_code(cases: Iterable[Case]) -> int:
    """2 where something is the user's mistake, 1 where something was found, else 0."""
    levels = {case.level for case in cases}
    return 2 if Level.MISTAKE in levels else int(Level.FINDING in levels)


def tried(check: str, subject: str, look: Callable[[], str | None]) -> Case:
    """Look at something, and turn what goes wrong into a case.

    Args:
        check: what is checked.
        subject: what is looked at.
        look: returns what is wrong, or nothing; a contradiction that it raises is a finding, any other error that a
            user can fix is a mistake.
    """
    try:
        found = look()
    except (FoundSomethingError, RowContradictionError) as error:
        return Case(check=check, subject=subject, level=Level.FINDING, message=one_line(str(error)))
    except BenchError as error:
        return Case(check=check, subject=subject, level=Level.MISTAKE, message=one_line(str(error)))
    return Case(check=check, subject=subject, level=Level.FINDING if found else Level.FINE, message=found or "")
