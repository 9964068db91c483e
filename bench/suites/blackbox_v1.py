"""`blackbox-v1`: what asks a model for answers alone, within a budget of queries; its rows are not ranked.

For models without a gradient. Of those with one it says less than any suite that uses it. `docs/blackbox.md` says what
was measured.

Published: never change it. A different list of attacks or parameters is `blackbox_v2.py`.
"""

from __future__ import annotations

import re

from bench.attacks import Transfer
from bench.attacks.autoattack import Square
from bench.core.errors import BenchError
from bench.suites.suite import AttackSuite

__all__ = ["ENTRY", "named", "within"]

QUERIES = 5_000
"""What Square is run with wherever it is reported, AutoAttack included."""
_BESIDE = 3
"""Queries that Square takes beside its moves: the clean input, its start and, in its authors' package, its result."""
_NAMED = re.compile(r"blackbox-([0-9]{1,9})(-v1)?")


def within(queries: int) -> AttackSuite:
    """The suite with another budget, which is another suite of another name: `blackbox-1000-v1`.

    Args:
        queries: most that all its attacks together ask about an example.

    Raises:
        BenchError: if they do not suffice for transfer and one move of Square.
    """
    transfer = Transfer()
    least = transfer.most_trials + _BESIDE + 1
    if queries < least:
        raise BenchError(
            f"Expected a budget of at least {least} queries for each example ({transfer.most_trials} of transfer, the"
            f" rest of Square), but got {queries}."
        )
    square = Square(queries=queries - transfer.most_trials - _BESIDE, queries_only=True)
    return AttackSuite(
        name="blackbox" if queries == QUERIES else f"blackbox-{queries}",
        version=1,
        summary="transfer and Square within 5,000 queries: for models without a gradient, not ranked",
        attacks=(transfer, square),
        queries=queries,
    )


def named(name: str) -> AttackSuite | None:
    """The suite that a budget in a name asks for; None where it is no such name."""
    match = _NAMED.fullmatch(name)
    return within(int(match[1])) if match is not None else None


ENTRY = within(QUERIES)
