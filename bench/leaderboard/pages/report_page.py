"""A report on one row for who has to decide by it: what was run and found, doubts, pictures, how to check it.

One HTML file that needs no network, made of the row and its evidence alone: no attack is run and no model is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from bench.core.errors import BenchError
from bench.core.types import Norm, ThreatModel
from bench.leaderboard.pages.board import Board, alone, load
from bench.leaderboard.pages.html import report_html
from bench.leaderboard.pages.tables import Entry, Group
from bench.leaderboard.pages.wording import doubts, interval, percent, reproduce, title_of
from bench.leaderboard.store import board_of, row_paths
from bench.storage import Place

__all__ = ["report"]

_MOST_ROWS = 9


def report(row: Place, against: Sequence[Place] = ()) -> str:
    """The HTML of a report.

    Args:
        row: what it is about.
        against: rows to set beside it.

    Raises:
        BenchError: if a row cannot be read, is given twice, or there are too many.
    """
    paths = [path.resolve() if isinstance(path, Path) else path for path in (row, *against)]
    if len(paths) > _MOST_ROWS or len(set(paths)) < len(paths):
        raise BenchError(f"Expected at most {_MOST_ROWS - 1} rows to compare with, each once and none the row itself.")
    boards: dict[Place, Board] = {}
    placed = {f"row-{number}": _placed(path, boards) for number, path in enumerate(paths)}
    (_, group, entry), *_ = placed.values()
    return report_html(placed, _told(group, entry))


def _placed(path: Place, boards: dict[Place, Board]) -> tuple[Board, Group, Entry]:
    """A row in its table; of one that lies on no board, the table has nothing else."""
    root = board_of(path)
    if path in set(row_paths(root)):
        board = boards[root] if root in boards else boards.setdefault(root, load(root))
        name = PurePosixPath(path.relative_to(root).as_posix())
    else:
        board = alone(path)
        name = PurePosixPath(path.name)
    return next((board, group, entry) for group in board.groups for entry in group.entries if entry.row.path == name)


def _told(group: Group, entry: Entry) -> dict[str, Any]:
    record, robust = entry.record, entry.robust
    title, found = title_of(record), doubts(entry)
    verdict = (
        f"Of {robust.total:,} test images, {title} classifies {entry.clean.count:,} correctly, and {robust.count:,}"
        f" still when every attack of {record.suite} has tried to change the answer:"
        f" {percent(robust.fraction)} % robust (95 % interval {interval(robust)})."
    )
    if entry.certified is not None:
        verdict += (
            f" Of {entry.certified.count:,} it is proved that no attack can ({percent(entry.certified.fraction)} %)."
        )
    row = entry.row.path
    checks = [
        (f"bench verify {row}", "Judge the stored breaks again, without an attack"),
        (f"bench check {row}", "Check the row's files against each other"),
        (reproduce(record), "Run it again: the same result, example by example"),
    ]
    return {
        "verdict": f"{verdict} What to know before trusting it: {'; '.join(found)}." if found else verdict,
        "run": [_threat(ThreatModel.parse(record.threat_model), group), _rules(group, entry)],
        "checks": checks if entry.row.evidence is not None else checks[1:],
    }


def _threat(threat_model: ThreatModel, group: Group) -> str:
    epsilon = str(threat_model).partition(":")[2]
    moved = {
        Norm.LINF: f"change every pixel by up to {epsilon} of its range",
        Norm.L1: f"change all pixels together by up to {epsilon}, pixels being 0 to 1",
        Norm.L2: f"change the image by up to {epsilon} in Euclidean length, pixels being 0 to 1",
    }[threat_model.norm]
    return f"The attacker knows the network and may {moved}. The images are of the test split of {group.dataset}."


def _rules(group: Group, entry: Entry) -> str:
    result, cost = entry.record.result, entry.record.cost
    return (
        f"Suite {group.suite} was run on images {result.indices}, seed {result.seed}, on {cost.device}. An image counts"
        " as robust only where it is classified correctly and all attacks fail; every adversarial example that an"
        " attack claimed was judged again in float32, and whether it obeys the limit."
    )
