"""How much of a model's robustness was learnt by heart: PGD-20 on training and on test images.

    python benchmarks/robust_gap.py --model pgd-at --model at-awp --samples 1000

Training images are the first ones that training saw (the held-out part is left out), without augmentation. Intervals
are Wilson's at 95 %; the gap's is Newcombe's for two independent samples.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import torch
from subject import errors_in_one_line
from tabulate import tabulate

from bench import data, models, suites
from bench.core.statistics import Interval, wilson
from bench.core.types import Examples
from bench.data import Dataset
from bench.evaluation import Evaluation, evaluate
from bench.suites import AttackSuite
from bench.training import SplitData

PGD = next(attack for attack in suites.get("standard-v1").attacks if attack.name == "pgd-20")


def main() -> None:
    """Parse the options, measure, print the accuracies and the gaps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", required=True, help="a model of `bench list models`; repeatable")
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--samples", type=int, default=1000, help="images of each split (default 1000)")
    parser.add_argument("--data-dir", type=Path, help="where the data lies")
    options = parser.parse_args()
    splits = {split: data.load(options.dataset, data_dir=options.data_dir, split=split) for split in ("train", "test")}
    accuracies, gaps = [], []
    for name in options.model:
        module = models.load(name, dataset=splits["test"]).module
        done = {
            split: attacked(module, examples(dataset, split, options.samples), dataset)
            for split, dataset in splits.items()
        }
        accuracies += [(name, split, *line(evaluation)) for split, evaluation in done.items()]
        gaps.append((name, *(f"{100 * value:.1f}" for value in gap(done["train"], done["test"]))))
    headers = ("model", "split", "images", "clean, %", "PGD-20, %", "95 % interval")
    sys.stdout.write(tabulate(accuracies, headers=headers) + "\n\n")
    sys.stdout.write(tabulate(gaps, headers=("model", "gap, points", "from", "to")) + "\n")


def examples(dataset: Dataset, split: str, samples: int) -> Examples:
    """The first test examples, or the first of those that training saw."""
    if split == "test":
        return dataset.examples[:samples]
    seen = SplitData.of(dataset.examples, torch.device("cpu"))
    return Examples(inputs=seen.inputs[:samples], labels=seen.labels[:samples], indices=torch.arange(samples))


def attacked(module: torch.nn.Module, chosen: Examples, dataset: Dataset) -> Evaluation:
    """The model under PGD-20 alone."""
    suite = AttackSuite(name="pgd", version=1, attacks=(PGD,))
    return evaluate(module, chosen, threat_model=dataset.default_threat_model, suite=suite)


def line(evaluation: Evaluation) -> tuple[int, str, str, str]:
    """Number of images, clean and robust accuracy, and the robust one's interval."""
    total, robust = evaluation.n_examples, evaluation.n_robust
    low, high = wilson(robust, total)
    clean = evaluation.n_clean / total
    return total, f"{100 * clean:.1f}", f"{100 * robust / total:.1f}", f"{100 * low:.1f} to {100 * high:.1f}"


def gap(train: Evaluation, test: Evaluation) -> tuple[float, float, float]:
    """Robust accuracy on training less that on test images, and Newcombe's interval of it (1998, method 10)."""
    shares = [each.n_robust / each.n_examples for each in (train, test)]
    intervals: list[Interval] = [wilson(each.n_robust, each.n_examples) for each in (train, test)]
    difference = shares[0] - shares[1]
    below = math.hypot(shares[0] - intervals[0].low, intervals[1].high - shares[1])
    above = math.hypot(intervals[0].high - shares[0], shares[1] - intervals[1].low)
    return difference, difference - below, difference + above


if __name__ == "__main__":
    with errors_in_one_line():
        main()
