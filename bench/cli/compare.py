"""`bench compare`: two rows, example by example."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from bench.cli.layout import table, wrapped
from bench.cli.options import DEFAULT_LEADERBOARD, DatasetFilter, Json, Leaderboard, SuiteFilter, ThreatModelFilter
from bench.cli.output import json_text, say
from bench.cli.rows import Filter, single
from bench.core.errors import BenchError
from bench.core.plain_text import plain
from bench.leaderboard.compare import Comparison
from bench.leaderboard.compare import compare as compare_rows

__all__ = ["compare"]

_SHOWN = 8

_LEFT_OPEN = (
    "p takes all that counts as robust for robust: an audit leaves up to {} of A's and {} of B's examples open, and"
    " ranks are without those of the better one."
)


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A model's name, or the path of a row.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    dataset: DatasetFilter = None,
    threat_model: ThreatModelFilter = None,
    suite: SuiteFilter = None,
    leaderboard: Leaderboard = DEFAULT_LEADERBOARD,
    as_json: Json = False,
) -> None:
    """Compare two rows on the examples that both have.

    p is the exact two-sided McNemar probability that verdicts flip this unevenly by chance.

    \b
    Examples:
      bench compare pgd-at aw-net --dataset cifar10
      bench compare leaderboard/standard-v1/cifar10/Linf-8_255/aw-net.json /tmp/aw-net.json
    """
    wanted = Filter(dataset=dataset, threat_model=threat_model, suite=suite)
    comparison = compare_rows(single(first, wanted, leaderboard), single(second, wanted, leaderboard))
    if not comparison.comparable:
        raise BenchError(f"Not comparable: {'; '.join(comparison.obstacles)}.")
    say(json_text(asdict(comparison)) if as_json else _as_text(comparison))


def _as_text(comparison: Comparison) -> str:
    cells = [
        (
            column.name,
            f"{column.n_robust[0]}/{column.n_examples}",
            f"{column.n_robust[1]}/{column.n_examples}",
            _indices(column.gained),
            _indices(column.lost),
            f"{column.p:.2g}",
        )
        for column in (*comparison.columns, *([comparison.headline] if comparison.headline else []))
    ]
    headers = ("attack", "A", "B", "robust in B only", "robust in A only", "p")
    weights = "The same weights and architecture." if comparison.same_checkpoint else "Different checkpoints."
    if comparison.same_checkpoint and comparison.same_function is False:
        weights = "The same weights and architecture, which answer fixed inputs otherwise."
    verdict = " Every verdict and margin agrees." if comparison.same else ""
    open_ones = "" if comparison.undecided == (0, 0) else _LEFT_OPEN.format(*comparison.undecided)
    parts = [table(headers, cells, right=("A", "B", "p")), _explained(comparison), open_ones, weights + verdict]
    return wrapped("\n\n".join(part for part in parts if part))


def _explained(comparison: Comparison) -> str:
    """Which attack makes the difference; nothing where there is none."""
    robust, found = comparison.columns[-1], comparison.explanations
    sides = [
        ("A", "B", len(robust.lost), [(each.name, each.lost, each.lost_alone) for each in found]),
        ("B", "A", len(robust.gained), [(each.name, each.gained, each.gained_alone) for each in found]),
    ]
    return "\n".join(_takers(*side) for side in sides if side[2])


def _takers(robust_in: str, broken_in: str, count: int, columns: list[tuple[str, int, int]]) -> str:
    """One line: `Of 12 robust in A only, B loses 10 to autoattack (4 to it alone), 2 to clean errors.`."""
    told = [
        f"{taken} to {'clean errors' if name == 'clean' else plain(name)}"
        + (f" ({alone} to it alone)" if alone and name != "clean" else "")
        for name, taken, alone in sorted(columns, key=lambda column: -column[1])
        if taken
    ]
    return f"Of {count} robust in {robust_in} only, {broken_in} loses {', '.join(told)}."


def _indices(found: tuple[int, ...]) -> str:
    """How many and the first few: `12: 3 5 7 ...`."""
    if not found:
        return "0"
    more = " ..." if len(found) > _SHOWN else ""
    return f"{len(found)}: {' '.join(map(str, found[:_SHOWN]))}{more}"
