"""One writer at a time: whoever reads a board in order to change it holds the board's lock from before it reads."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.core.types import Norm
from bench.storage import LEASE_SECONDS, Guard, Place, explain_write_errors, held, remove_unfinished

__all__ = ["board_of", "locked"]

# Longer than a dead writer's lease: the work is done, only the row is not stored.
TIMEOUT = 2 * LEASE_SECONDS

_WRITTEN = (
    "README.md",
    "CHANGELOG.md",
    "index.html",
    "results.csv",
    "model-index/*.md",
    "submissions/*.json",
    "*/README.md",
    "*/suite.json",
    *(f"*/*/{norm}-*/*.{suffix}" for norm in Norm for suffix in ("json", "npz")),
)

_mine = threading.local()


@contextlib.contextmanager
def locked(root: Place, notify: Callable[[str], None] = lambda line: None) -> Iterator[Guard]:
    """Hold a board until the context ends; a thread that holds it already goes on holding it.

    Readers need no lock, since every file is there whole or not at all.

    Args:
        root: the board's folder; made where it is missing.
        notify: called before waiting for another writer, with a line that says for whom.

    Yields:
        A function to call before a write, which raises where the board is not held any more.

    Raises:
        BenchError: if the folder cannot be written.
        WorkFailedError: if another writer holds it for longer than `TIMEOUT`, or a store does not answer.
    """
    if isinstance(root, Path):
        with explain_write_errors(root):
            root.mkdir(parents=True, exist_ok=True)
            root = root.resolve()
    checks: dict[Place, Guard] = _mine.__dict__.setdefault("checks", {})
    if root in checks:
        yield checks[root]
        return
    with held(root, timeout=TIMEOUT, notify=notify) as check:
        if isinstance(root, Path):
            for pattern in _WRITTEN:
                remove_unfinished(root, pattern)
        checks[root] = check
        try:
            yield check
        finally:
            del checks[root]


def board_of(row: Place) -> Place:
    """The board that a row lies on; for a row that lies on none, its folder."""
    if isinstance(row, Path):
        row = row.parent.resolve() / row.name
    on_board = len(row.parents) > 3 and (row.parents[2] / "suite.json").is_file()
    return row.parents[3] if on_board else row.parent
