"""Constraint relaxation beside AutoAttack on the models of a board: breaks that one of the two alone finds, and passes.

    python benchmarks/relaxation.py --samples 1000 --journal relaxation
    python benchmarks/relaxation.py --model pgd-at --model ducat --samples 64 --journal relaxation --json

AutoAttack's verdicts and passes are those in the rows of `standard-v1` on the same weights; its passes are of all
examples of the row. The relaxed runs are made here, as `swift-v1` makes them before its audit: constraint relaxation on
all examples, then what the model's structure calls for on what that leaves. Finished work is kept in the journal, a
folder for each model: the same command goes on. Passes (fwd, bwd) are for each example.

To be reached: over the plain models breaks of AutoAttack alone minus breaks of constraint relaxation alone at most 0 in
sum and at most 1 for a model; `ducat` at most 106 of 1,000 with what its structure calls for.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch
from subject import errors_in_one_line, positive
from tabulate import tabulate

from bench import data, models
from bench.attacks import Ensemble
from bench.attacks.adaptive import Swift
from bench.evaluation import InputDigests, Progress, evaluate
from bench.leaderboard import read
from bench.row import unpack_verdicts
from bench.suites import AttackSuite

SWIFT = Swift()
RELAXED_RUNS = Ensemble(name="relaxed-runs", stages=SWIFT.stages[: SWIFT.cascade_rules.n_on_all])
HEADERS = (
    "model",
    "clean",
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
    """Run what is missing, print one table or JSON."""
    options = parse()
    if options.threads:
        torch.set_num_threads(options.threads)
    folder = options.leaderboard / "standard-v1" / options.dataset
    paths = sorted(path for path in folder.glob("*/*.json") if not options.model or path.stem in options.model)
    missing = sorted(set(options.model) - {path.stem for path in paths})
    if missing or not paths:
        raise SystemExit(f"Error: no row of {', '.join(missing) or 'any model'} in {folder}")
    found = [compare(path, options) for path in paths]
    sys.stdout.write(json.dumps(found, indent=2) + "\n" if options.json else render(found))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Constraint relaxation beside the AutoAttack of a board's rows.")
    parser.add_argument("--model", action="append", default=[], help="may be given several times; by default all")
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--samples", type=positive, default=1_000)
    parser.add_argument("--leaderboard", type=Path, default=Path("leaderboard"))
    parser.add_argument("--journal", type=Path, required=True, help="folder of the finished work")
    parser.add_argument("--threads", type=positive)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser.parse_args()


def compare(path: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The relaxed runs on the weights and the first examples of a row, and its AutoAttack's verdicts on them."""
    row = read(path)
    dataset = data.load(row.dataset, data_dir=options.data_dir)
    loaded = models.load(row.model, dataset=dataset)
    if loaded.digest != row.digests.model:
        raise SystemExit(f"Error: {path} is about other weights of {row.model} than those that are here")
    (autoattack,) = (each for each in row.result.attacks if each.name == "autoattack")
    (cost,) = (each for each in row.cost.attacks if each.name == "autoattack")
    n_examples = min(options.samples, row.result.n_examples)

    def notify(progress: Progress) -> None:
        left = "" if progress.eta is None else f", about {progress.eta / 60:.0f} min left"
        sys.stderr.write(f"{row.model}: {progress.stage}, {progress.n_robust} robust{left}\n")

    ours = evaluate(
        loaded.module,
        dataset.examples[:n_examples],
        threat_model=row.threat_model,
        suite=AttackSuite(name="relaxed-runs", version=1, attacks=(RELAXED_RUNS,)),
        journal=options.journal / f"{row.model}-{row.dataset}",
        progress=notify,
        identity=InputDigests(model=loaded.digest, factory=loaded.factory_digest, dataset=dataset.digest),
    )
    relaxation, *structure = ours.attacks[0].stages
    theirs = unpack_verdicts(autoattack.robust, row.result.n_examples)[:n_examples]
    pairs = list(zip(ours.indices, theirs, relaxation.robust, strict=True))
    return {
        "model": row.model,
        "n_examples": n_examples,
        "n_clean": sum(ours.clean),
        "n_robust_autoattack": sum(theirs),
        "n_robust_relaxation": relaxation.n_robust,
        "only_autoattack_broke": [index for index, before, now in pairs if now and not before],
        "only_relaxation_broke": [index for index, before, now in pairs if before and not now],
        "autoattack_forwards": cost.forwards / row.result.n_examples,
        "autoattack_gradients": cost.backwards / row.result.n_examples,
        "relaxation_forwards": relaxation.forwards / n_examples,
        "relaxation_gradients": relaxation.backwards / n_examples,
        "n_robust_with_structure": structure[-1].n_robust if structure else None,
    }


def render(found: list[dict[str, Any]]) -> str:
    """A line for each model; passes are for each example."""
    rows = [
        [
            each["model"],
            f"{each['n_clean']} of {each['n_examples']}",
            each["n_robust_autoattack"],
            each["n_robust_relaxation"],
            *(", ".join(map(str, each[key])) or "none" for key in ("only_autoattack_broke", "only_relaxation_broke")),
            *(each[f"{name}_{kind}"] for name in ("autoattack", "relaxation") for kind in ("forwards", "gradients")),
            each["n_robust_with_structure"],
        ]
        for each in found
    ]
    lost, gained = (sum(len(each[f"only_{name}_broke"]) for each in found) for name in ("autoattack", "relaxation"))
    table = tabulate(rows, headers=HEADERS, floatfmt=".1f", missingval="-")
    return f"{table}\nbreaks by AutoAttack alone: {lost}; by constraint relaxation alone: {gained}\n"


if __name__ == "__main__":
    with errors_in_one_line():
        main()
