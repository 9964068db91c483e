"""The rows of a board as they were at a git revision, and what a pull request may not do to them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench.core.errors import BenchError
from bench.leaderboard.compare import compare, new_checkpoint, same_checkpoint
from bench.leaderboard.store import Identity
from bench.row import CheckResult, Level, Record, load_row
from bench.storage import Place

__all__ = ["against", "rows_at"]

_SECONDS = 60
_ROW_DEPTH = 4


def rows_at(root: Place, revision: str) -> dict[Identity, Record]:
    """The rows that were committed under `root` at a revision.

    Args:
        root: the board's folder, in a git repository.
        revision: what git calls one: "main", "HEAD~1", "v1.0".

    Raises:
        BenchError: if git does not know the revision, the board lies in a store, or a row there cannot be read.
    """
    if not isinstance(root, Path):
        raise BenchError(f"git has no past of {root}: only a board in a git repository can be held against one.")
    if revision.startswith("-"):
        raise BenchError(f"Expected a git revision, such as main, but got {revision!r}.")
    asked = f"{revision}^{{commit}}"
    commit = _git(root, revision, "rev-parse", "--verify", "--end-of-options", asked).decode().strip()
    names = _git(root, revision, "ls-tree", "-r", "-z", "--name-only", commit, ".")
    found: dict[Identity, Record] = {}
    for name in os.fsdecode(names).split("\0"):
        if name.endswith(".json") and len(Path(name).parts) == _ROW_DEPTH:
            record = load_row(_git(root, revision, "show", f"{commit}:./{name}"), source=f"{name} at {revision}")
            found[Identity.of(record)] = record
    return found


def against(root: Place, rows: dict[Identity, Record], revision: str) -> tuple[CheckResult, ...]:
    """Hold the rows that are here against those of a revision.

    The same checkpoint must give the same result, not a better one either; a new one may not be significantly worse;
    no row goes, and none gets fewer examples, another seed, another suite under the same name or other data.

    Args:
        root: the board's folder.
        rows: those that are here.
        revision: what to hold them against.

    Raises:
        BenchError: see `rows_at`.
    """
    before = rows_at(root, revision)
    return tuple(_cases(root, before, rows))


def _cases(root: Place, before: dict[Identity, Record], rows: dict[Identity, Record]) -> Iterator[CheckResult]:
    for identity, old in before.items():
        level, message = _judged(old, rows.get(identity))
        subject = identity.path(root).relative_to(root).as_posix()
        yield CheckResult(what="against", subject=subject, level=level, evidence=message)
    for identity in rows.keys() - before.keys():
        subject = identity.path(root).relative_to(root).as_posix()
        yield CheckResult(what="against", subject=subject, level=Level.WARN, evidence="a new row")


def _judged(old: Record, new: Record | None) -> tuple[Level, str]:
    if new is None:
        return Level.FAIL, "the row is gone; a published row is replaced, not removed"
    if new == old:
        return Level.PASS, ""
    if new.result.n_examples < old.result.n_examples:
        return Level.FAIL, f"{new.result.n_examples} examples instead of {old.result.n_examples}; never fewer"
    comparison = compare(old, new)
    if not comparison.comparable:
        return Level.FAIL, f"it replaces a published row and is not comparable: {'; '.join(comparison.obstacles)}"
    if comparison.same_checkpoint and old.n_external > new.n_external:
        return Level.FAIL, f"{old.n_external - new.n_external} breaks found by others are gone"
    change = same_checkpoint(old, new) if comparison.same_checkpoint else new_checkpoint(comparison)
    return change.level, change.evidence


def _git(root: Path, revision: str, *arguments: str) -> bytes:
    try:
        done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BenchError(f"Cannot ask git about {revision!r}: {error!s:.80}.") from error
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().partition("\n")[0]
        raise BenchError(
            f"git knows no revision {revision!r} of {root} ({said[:100]}). Fetch it first (`git fetch origin`), or name"
            " another one."
        )
    return done.stdout
