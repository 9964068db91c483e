"""From what a user types to rows: a path, or a model's name and what narrows it down."""

from __future__ import annotations

from dataclasses import dataclass

from bench import leaderboard
from bench.core.errors import BenchError, UnknownNameError
from bench.core.types import ThreatModel
from bench.row import Record
from bench.storage import Place, place

__all__ = ["Filter", "locate", "own_data", "select", "single"]


@dataclass(frozen=True, kw_only=True)
class Filter:
    """Which rows are wanted; None lets all pass."""

    dataset: str | None = None
    threat_model: str | None = None
    suite: str | None = None

    def passes(self, record: Record) -> bool:
        """Whether a row is wanted."""
        wanted = str(ThreatModel.parse(self.threat_model)) if self.threat_model is not None else None
        pairs = ((self.dataset, record.dataset), (wanted, record.threat_model), (self.suite, record.suite))
        return all(value is None or value == actual for value, actual in pairs)

    def fits(self, path: Place) -> bool:
        """Whether a row lies where a wanted one would: `<suite>/<dataset>/<threat model>/<model>.json`."""
        wanted = ThreatModel.parse(self.threat_model).folder if self.threat_model is not None else None
        suite, dataset, threat_model = path.parts[-4:-1]
        pairs = ((self.dataset, dataset), (wanted, threat_model), (self.suite, suite))
        return all(value is None or value == actual for value, actual in pairs)


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
        return (leaderboard.read(place(row)),)
    records = tuple(record for _, record in leaderboard.read_all(root) if wanted.passes(record))
    if not records:
        raise BenchError(f"No such rows in {root}. `bench run` writes rows; --leaderboard names another folder.")
    if row is None:
        return records
    found = tuple(record for record in records if record.model == row)
    if not found:
        raise UnknownNameError("row", row, {record.model for record in records})
    return found


def locate(row: str, wanted: Filter, root: Place) -> Place:
    """The path of the one row that `row` means; no row is read, so that a damaged one can be named too.

    Raises:
        BenchError: if there is none, or more than one.
    """
    if row.endswith(".json"):
        path = place(row)
        if not path.is_file():
            raise BenchError(f"Cannot read row {row}: there is no such file.")
        return path
    places = [path for path in leaderboard.row_paths(root) if wanted.fits(path)]
    if not places:
        raise BenchError(f"No such rows in {root}. `bench run` writes rows; --leaderboard names another folder.")
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
