"""Is our AutoAttack engine as strong as pyautoattack? Breaks that one of them alone finds, over any models.

    python benchmarks/strength.py --model pgd-at --model aw-net --samples 400 --journal strength
    python benchmarks/strength.py --model ../file.py:factory --weights FILE --threat-model Linf:2/255 --samples 200 ...

Both engines run AutoAttack through the harness, which judges every break on the model itself. Finished work is kept in
the journal folder, a folder per model and engine: interrupt it at any time, the same command goes on, and more samples
reuse those that are done. To be reached over three models and 1,000 examples in all: breaks that only the reference
found minus breaks that only ours found at most 1.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

import torch
from subject import errors_in_one_line
from tabulate import tabulate

from bench import data, models
from bench.attacks.autoattack import AutoAttack
from bench.core.types import ThreatModel
from bench.evaluation import AUTO, PRECISIONS, Evaluation, InputDigests, Progress, evaluate
from bench.suites import ENGINES, AttackSuite, with_engine

HEADERS = ["model", "n", "clean", "robust ref", "robust fast", "only ref broke", "only fast broke", "refused"]


def main() -> None:
    """Run what is missing, print one table or JSON."""
    options = parse()
    if options.threads:
        torch.set_num_threads(options.threads)
    rows = [compare(name, options) for name in options.model]
    if options.json:
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return
    lost, gained = (sum(len(row[key]) for row in rows) for key in ("only_reference_broke", "only_fast_broke"))
    table = [list(row.values()) for row in rows]
    sys.stdout.write(tabulate(table, headers=HEADERS) + "\n")
    n_examples = sum(row["n_examples"] for row in rows)
    sys.stdout.write(
        f"{n_examples} examples: {lost} breaks by the reference alone, {gained} by the fast engine alone\n"
    )


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Breaks that one AutoAttack engine alone finds.")
    parser.add_argument("--model", action="append", required=True, help="may be given several times")
    parser.add_argument("--weights", type=Path, help="for a model of FILE.py:FACTORY")
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--threat-model", help="such as Linf:8/255; default: the dataset's")
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--precision", choices=PRECISIONS, default=AUTO)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--journal", type=Path, required=True, help="folder of the finished work")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser.parse_args()


def compare(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Both engines on one model."""
    found = {engine: run(name, engine, options) for engine in ENGINES}
    ours, theirs = found["fast"], found["reference"]
    pairs = list(zip(ours.indices, theirs.robust, ours.robust, strict=True))
    stages = ours.attacks[0].stages
    return {
        "model": name,
        "n_examples": ours.n_examples,
        "n_clean": ours.n_clean,
        "n_robust_reference": theirs.n_robust,
        "n_robust_fast": ours.n_robust,
        "only_reference_broke": [index for index, reference, fast in pairs if fast and not reference],
        "only_fast_broke": [index for index, reference, fast in pairs if reference and not fast],
        "refused": f"{sum(stage.n_rejected for stage in stages)} of {sum(stage.n_claimed for stage in stages)}",
    }


def run(name: str, engine: str, options: argparse.Namespace) -> Evaluation:
    """AutoAttack on one engine; what the journal has is not done again."""
    dataset = data.load(options.dataset, data_dir=options.data_dir)
    loaded = models.load(name, weights=options.weights, dataset=dataset, device=options.device)
    threat_model = ThreatModel.parse(options.threat_model) if options.threat_model else dataset.default_threat_model
    folder = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{name}-{dataset.name}-{threat_model}").strip("-.")

    def notify(progress: Progress) -> None:
        left = "" if progress.eta is None else f", about {progress.eta / 60:.0f} min left"
        where = f"{progress.stage} chunk {progress.chunk} of {progress.n_chunks}"
        sys.stderr.write(f"{name} {engine}: {where}, {progress.n_robust} robust{left}\n")

    return evaluate(
        loaded.module,
        dataset.examples[: options.samples],
        threat_model=threat_model,
        suite=with_engine(AttackSuite(name="autoattack", version=1, attacks=(AutoAttack(),)), engine),
        journal=options.journal / folder / engine,
        device=options.device,
        precision=options.precision if engine == "fast" else AUTO,
        progress=notify,
        identity=InputDigests(model=loaded.digest, factory=loaded.factory_digest, dataset=dataset.digest),
    )


if __name__ == "__main__":
    with errors_in_one_line():
        main()
