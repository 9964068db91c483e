"""From what a user types to rows: a path, or a model's name and what narrows it down."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from bench import leaderboard
from bench.core.errors import BenchError, UnknownNameError
from bench.core.types import ThreatModel
from bench.row import Record
from bench.storage import Place, place

__all__ = ["Filter", "locate", "own_data", "select", "single"]


Question: TypeAlias = tuple[str, str, str]
"""What a row is about: dataset, threat model, suite."""
_WHATS = ("dataset", "threat model", "suite")


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which rows are wanted; None lets all pass."""

    dataset: str | None = None
    threat_model: str | None = None
    suite: str | None = None

    def values(self) -> tuple[str | None, str | None, str | None]:
        """What is wanted, in the order of a `Question`.

        Raises:
            BenchError: if the threat model is none.
        """
        threat_model = str(ThreatModel.parse(self.threat_model)) if self.threat_model is not None else None
        return self.dataset, threat_model, self.suite

    def passes(self, record: Record) -> bool:
        """Whether a row is wanted."""
        return self.is_about(_question(record))

    def is_about(self, found: Question) -> bool:
        """Whether rows on this question are wanted."""
        return all(value in (None, actual) for value, actual in zip(self.values(), found, strict=True))

    def expect(self, record: Record, row: str) -> Record:
        """The row again, which was named by its path.

        Raises:
            BenchError: if what is said beside the path is not true of it.
        """
        for what, value, actual in zip(_WHATS, self.values(), _question(record), strict=True):
            if value not in (None, actual):
                raise BenchError(f"Expected {what} {actual!r}, which row {row} has, but got {value!r}.")
        return record

    def nothing(self, found: Iterable[Question], root: Place) -> BenchError:
        """Why no row passes.

        Args:
            found: what there is.
            root: where that lies.
        """
        for what, value, actual in zip(_WHATS, self.values(), zip(*found, strict=True), strict=False):
            if value is not None and value not in actual:
                return UnknownNameError(f"{what} of rows in {root}", value, set(actual))
        return BenchError(f"No such rows in {root}. `bench run` writes rows; --leaderboard names another folder.")


def own_data(dataset: str | None) -> bool:
    """Whether `--dataset` says where data of the user's own lies, and is not a name that rows have."""
    if dataset is None:
        return False
    from bench.data import is_own  # needs torch, which what reads rows alone does without

    return is_own(dataset)


def select(row: str | None, wanted: Filter, root: Place) -> tuple[Record, ...]:
    """The rows that `row` means: one by its path, a model's, or all.

    Raises:
        BenchError: if there are none, or one is damaged.
    """
    if row is not None and row.endswith(".json"):
        return (wanted.expect(leaderboard.read(place(row)), row),)
    every = [record for _, record in leaderboard.read_all(root)]
    records = tuple(record for record in every if wanted.passes(record))
    if not records:
        raise wanted.nothing(map(_question, every), root)
    if row is None:
        return records
    found = tuple(record for record in records if record.model == row)
    if not found:
        raise UnknownNameError("row", row, {record.model for record in records})
    return found


def locate(row: str, wanted: Filter, root: Place) -> Place:
    """The path of the one row that `row` means.

    No row is read, so that a damaged one can be named too, but where more than its path is said of it.

    Raises:
        BenchError: if there is none, or more than one.
    """
    if row.endswith(".json"):
        path = place(row)
        if not path.is_file():
            raise BenchError(f"Cannot read row {row}: there is no such file.")
        if wanted != Filter():
            wanted.expect(leaderboard.read(path), row)
        return path
    every = leaderboard.row_paths(root)
    places = [path for path in every if wanted.is_about(_by_place(path))]
    if not places:
        raise wanted.nothing(map(_by_place, every), root)
    found = [path for path in places if path.stem == row]
    if not found:
        raise UnknownNameError("row", row, {path.stem for path in places})
    if len(found) > 1:
        raise BenchError(
            f"Model {row!r} has {len(found)} rows ({', '.join(map(str, found))}). Name one, or narrow it down with"
            " --suite, --dataset, --threat-model."
        )
    return found[0]


def single(row: str, wanted: Filter, root: Place) -> Record:
    """The one row that `row` means.

    Raises:
        BenchError: if there is none, or more than one.
    """
    records = select(row, wanted, root)
    if len(records) > 1:
        places = "; ".join(f"{each.suite} {each.dataset} {each.threat_model}" for each in records)
        raise BenchError(
            f"Model {row!r} has {len(records)} rows ({places}). Narrow it down with --suite, --dataset, --threat-model."
        )
    return records[0]


def _question(record: Record) -> Question:
    return record.dataset, record.threat_model, record.suite


def _by_place(path: Place) -> Question:
    """What the path `<suite>/<dataset>/<threat model>/<model>.json` says."""
    suite, dataset, threat_model = path.parts[-4:-1]
    return dataset, threat_model.replace("-", ":", 1).replace("_", "/"), suite
