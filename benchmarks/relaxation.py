"""Constraint relaxation beside AutoAttack in the rows of `adaptive-v2`: breaks that one alone found, and passes.

    python benchmarks/relaxation.py
    python benchmarks/relaxation.py --dataset digits --model pgd-at --model ducat --json

Both saw all examples that are correct when clean. Passes (fwd, bwd) are for each example of the row. The last column is
what constraint relaxation and the relaxed runs on the model's structure leave together.

To be reached: over the plain models breaks of AutoAttack alone minus breaks of constraint relaxation alone at most 0 in
sum and at most 1 for a model.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from subject import errors_in_one_line
from tabulate import tabulate

from bench.leaderboard import read
from bench.row import listed_indices, parse_indices, unpack_verdicts

HEADERS = (
    "model",
    "examples",
    "robust, AutoAttack",
    "robust, relaxation",
    "only AutoAttack broke",
    "only relaxation broke",
    "fwd AutoAttack",
    "bwd AutoAttack",
    "fwd relaxation",
    "bwd relaxation",
    "robust, with structure",
)


def main() -> None:
    """Print one table or JSON."""
    parser = argparse.ArgumentParser(description="Constraint relaxation beside AutoAttack in the rows of a board.")
    parser.add_argument("--model", action="append", default=[], help="may be given several times; by default all")
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--leaderboard", type=Path, default=Path("leaderboard"))
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    folder = options.leaderboard / "adaptive-v2" / options.dataset
    paths = sorted(path for path in folder.glob("*/*.json") if not options.model or path.stem in options.model)
    missing = sorted(set(options.model) - {path.stem for path in paths})
    if missing or not paths:
        raise SystemExit(f"Error: no row of {', '.join(missing) or 'any model'} in {folder}")
    found = [compared(path) for path in paths]
    sys.stdout.write(json.dumps(found, indent=2) + "\n" if options.json else render(found))


def compared(path: Path) -> dict[str, Any]:
    """Verdicts and passes of both attacks in a row."""
    row = read(path)
    count = row.result.n_examples
    held = {each.name: unpack_verdicts(each.robust, count) for each in row.result.attacks}
    passes = {each.name: (each.forwards / count, each.backwards / count) for each in row.cost.attacks}
    theirs, ours = held["autoattack"], held["constraint-relaxation"]
    structured = [held[name] for name in ("relaxed-pairs", "relaxed-steering") if name in held]
    pairs = list(zip(parse_indices(row.result.indices), theirs, ours, strict=True))
    return {
        "model": row.model,
        "n_examples": count,
        "n_robust_autoattack": sum(theirs),
        "n_robust_relaxation": sum(ours),
        "only_autoattack_broke": [index for index, before, now in pairs if now and not before],
        "only_relaxation_broke": [index for index, before, now in pairs if before and not now],
        "autoattack_forwards": passes["autoattack"][0],
        "autoattack_gradients": passes["autoattack"][1],
        "relaxation_forwards": passes["constraint-relaxation"][0],
        "relaxation_gradients": passes["constraint-relaxation"][1],
        "n_robust_with_structure": sum(map(all, zip(ours, *structured, strict=True))) if structured else None,
    }


def render(found: list[dict[str, Any]]) -> str:
    """A line for each model."""
    rows = [
        [(listed_indices(value) or "none") if isinstance(value, list) else value for value in each.values()]
        for each in found
    ]
    lost, gained = (sum(len(each[f"only_{name}_broke"]) for each in found) for name in ("autoattack", "relaxation"))
    table = tabulate(rows, headers=HEADERS, floatfmt=".1f", missingval="-")
    return f"{table}\nbreaks by AutoAttack alone: {lost}; by constraint relaxation alone: {gained}\n"


if __name__ == "__main__":
    with errors_in_one_line():
        main()
