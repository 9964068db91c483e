"""The board as data: all rows under one folder, sorted into tables. No page is made here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from bench.core.errors import BenchError
from bench.leaderboard.pages.tables import Entry, Group, Row, arrange
from bench.leaderboard.store import (
    SUITE_FILE,
    EvidenceKind,
    path_of,
    read,
    read_all,
    read_file,
    read_suite,
    shape_of,
    without_links,
)
from bench.row import Record
from bench.row.arrays import load_gallery
from bench.storage import Place, read_regular

__all__ = ["Board", "Suite", "alone", "load", "no_rows"]


_ABOUT = "about.txt"
_MOST_ABOUT = 4096


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A published suite, as its rows record it.

    Args:
        label: name with version.
        digest: over all parameters.
        attacks: name and parameters of each, those last that only models with some structure get.
    """

    label: str
    digest: str
    attacks: tuple[tuple[str, dict[str, Any]], ...]


@dataclass(frozen=True, kw_only=True)
class Board:
    """Everything that is published.

    Args:
        groups: the tables.
        suites: the suites that have rows, by label.
        about: what its owner says of its models, in one paragraph of plain text: `about.txt` beside the suites.
    """

    groups: tuple[Group, ...]
    suites: tuple[Suite, ...]
    about: str = ""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All rows, table by table."""
        return tuple(entry for group in self.groups for entry in group.entries)

    @property
    def date(self) -> str:
        """The day of the newest row, ISO 8601."""
        return max((entry.record.provenance.date[:10] for entry in self.entries), default="")

    def of_suite(self, label: str) -> Board:
        """The part of the board that a suite's own page shows."""
        return Board(
            groups=tuple(group for group in self.groups if group.suite == label),
            suites=tuple(suite for suite in self.suites if suite.label == label),
        )


def load(root: Place) -> Board:
    """Read the board that lies in `root`.

    Raises:
        BenchError: if there is none, or a row, its evidence or a suite is damaged.
    """
    rows = [_row(root, path, record) for path, record in read_all(root)]
    if not rows:
        raise no_rows(root)
    labels = sorted({row.record.suite for row in rows})
    return Board(
        groups=arrange(rows),
        suites=tuple(_suite(root / label / SUITE_FILE, label) for label in labels),
        about=_about(root),
    )


def _about(root: Place) -> str:
    path = without_links(root, root / _ABOUT)
    try:
        return " ".join(read_regular(path, most_bytes=_MOST_ABOUT).decode(errors="replace").split())
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise BenchError(f"Cannot read {path}: {error.strerror or error}.") from error


def alone(path: Place) -> Board:
    """A board of one row, which may lie anywhere.

    Raises:
        BenchError: if the row or its evidence is damaged.
    """
    return Board(groups=arrange([_row(path.parent, path, read(path))]), suites=())


def no_rows(root: Place) -> BenchError:
    """What to tell who expects a board in `root`."""
    return BenchError(f"No rows in {root}. `bench run` writes rows; --leaderboard names another folder.")


def _row(root: Place, path: Place, record: Record) -> Row:
    content = read_file(path, record, EvidenceKind.OWN)
    if record.evidence is None or content is None:
        return Row(path=PurePosixPath(path.relative_to(root).as_posix()), record=record)
    file = path_of(path, EvidenceKind.OWN, record.evidence)
    try:
        gallery = load_gallery(content, shape=shape_of(record))
    except ValueError as error:
        raise BenchError(f"Cannot read evidence {file}: {error}") from error
    return Row(
        path=PurePosixPath(path.relative_to(root).as_posix()),
        record=record,
        evidence=PurePosixPath(file.relative_to(root).as_posix()),
        gallery=gallery,
    )


def _suite(path: Place, label: str) -> Suite:
    value = read_suite(path)
    shown = [*value["attacks"], *(attack for rule in value.get("rules", ()) for attack in rule["attacks"])]
    attacks = tuple((attack["name"], attack["parameters"]) for attack in shown)
    return Suite(label=label, digest=value["digest"], attacks=attacks)
