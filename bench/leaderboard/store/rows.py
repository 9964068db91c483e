"""Rows on disk: `<root>/<suite>/<dataset>/<threat model>/<model>.json`, one file a row, its path from its identity.

What a row's adversarial examples are called is in `evidence`, when a row may be written in `write`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bench.core.errors import BenchError
from bench.core.types import ThreatModel
from bench.row import MOST_ROW_BYTES, Record, load_row
from bench.storage import Place, matching, read_regular

__all__ = ["Identity", "find", "read", "read_all", "read_bytes", "row_paths", "without_links"]

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=-]{0,99}")


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What a row is the answer to; one row for each.

    Raises:
        BenchError: if a part could not be a file's name.
    """

    suite: str
    dataset: str
    threat_model: str
    model: str

    def __post_init__(self) -> None:
        for part in ("suite", "dataset", "model"):
            name = getattr(self, part)
            if not _SAFE_NAME.fullmatch(name) or ".." in name:
                raise BenchError(
                    f"Cannot store a row for {part} {name!r}: expected letters, digits and '._+=-', starting"
                    " with a letter or digit, without '..'."
                )

    @classmethod
    def of(cls, record: Record) -> Identity:
        """The identity of a row."""
        return cls(suite=record.suite, dataset=record.dataset, threat_model=record.threat_model, model=record.model)

    def path(self, root: Place) -> Place:
        """Where the row lies under `root`."""
        folder = ThreatModel.parse(self.threat_model).folder
        return root / self.suite / self.dataset / folder / f"{self.model}.json"


def find(root: Place, identity: Identity) -> Record | None:
    """Return the row with this identity, or None.

    Raises:
        BenchError: if what is there is no row or cannot be read, or lies behind a symbolic link.
    """
    path = without_links(root, identity.path(root))
    try:
        content = read_regular(path, most_bytes=MOST_ROW_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BenchError(f"Cannot read row {path}: {error.strerror or error}.") from error
    return load_row(content, source=str(path))


def row_paths(root: Place) -> list[Place]:
    """Where rows lie under `root`, sorted; none where there is no such folder.

    Raises:
        BenchError: if it is no folder, or one in it cannot be read.
    """
    return matching(root, "*/*/*/*.json")


def read(path: Place) -> Record:
    """Read one row.

    Raises:
        BenchError: if the file is missing, damaged, or of a later version.
    """
    return load_row(read_bytes(path), source=str(path))


def read_bytes(path: Place) -> bytes:
    """The text of one row.

    Raises:
        BenchError: if the file is missing, too large or none.
    """
    try:
        return read_regular(path, most_bytes=MOST_ROW_BYTES)
    except OSError as error:
        raise BenchError(f"Cannot read row {path}: {error.strerror or error}.") from error


def read_all(root: Place) -> Iterator[tuple[Place, Record]]:
    """Read all rows under `root`, sorted by path.

    Raises:
        BenchError: if one is damaged, or does not lie where its identity says, or a folder cannot be read.
    """
    for path in row_paths(root):
        record = read(without_links(root, path))
        if Identity.of(record).path(root) != path:
            expected = Identity.of(record).path(root).relative_to(root)
            raise BenchError(f"Row {path} is not where it belongs: expected {expected} in {root}.")
        yield path, record


def without_links(root: Place, path: Place) -> Place:
    """The path, if nothing between it and `root` is a symbolic link.

    Raises:
        BenchError: if something is.
    """
    for step in (path, *path.parents):
        if step == root:
            break
        if step.is_symlink():
            raise BenchError(f"Cannot use {path}: {step} is a symbolic link. Put a real file or folder there.")
    return path
