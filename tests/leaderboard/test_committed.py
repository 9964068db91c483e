"""The board that is committed."""

from __future__ import annotations

from pathlib import Path

from bench.leaderboard.publish import outdated

BOARD = Path(__file__).resolve().parent.parent.parent / "leaderboard"


def test_the_committed_pages_are_what_the_committed_rows_say() -> None:
    """Whoever changes a row or how pages look runs `bench publish` and commits what it writes."""
    assert outdated(BOARD) == ()
