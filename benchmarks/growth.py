"""How our AutoAttack's seconds grow with the number of examples and with the batch size.

    python benchmarks/growth.py --model pgd-at --clock cpu --threads 1
    python benchmarks/growth.py --model pgd-at --samples 32 --sizes 1 8 --counts

The whole ensemble on the first 32, 64 and 128 test images in batches of 64, then on the first 32 in smaller batches
(`--counts`, `--samples`, `--sizes`). An example that withstands everything costs far more than one that breaks at once,
so seconds are also given per survivor.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import torch
from engines import fast_engine, measure, predictions, stages_of, warm_forms
from subject import errors_in_one_line, load_subject, parser_of
from tabulate import tabulate
from torch import nn

from bench.acceleration import FastForms
from bench.core.types import Examples, ThreatModel
from bench.evaluation import AUTO, PRECISIONS, Forms, choose_precision, full_float32


def main() -> None:
    """Parse the options, measure, print one table or JSON."""
    options = parse()
    module, examples, threat_model = load_subject(options, max([*options.counts, options.samples]))
    with full_float32():
        options.precision = choose_precision(
            options.precision, FastForms(module, examples.inputs), examples.inputs
        ).precision
        rows = growth(module, examples, threat_model, options)
    if options.json:
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return
    sys.stdout.write(
        f"{options.model}, {threat_model}, {options.device} ({torch.get_num_threads()} threads), torch"
        f" {torch.__version__}, {options.clock} seconds, search in {options.precision}\n"
        + tabulate(rows, headers="keys", floatfmt=".2f")
        + "\n"
    )


def parse() -> argparse.Namespace:
    """The command line."""
    parser = parser_of("Our AutoAttack's seconds against examples and batch size.")
    parser.add_argument("--counts", type=int, nargs="*", default=[32, 64, 128], help="numbers of examples")
    parser.add_argument("--batch-size", type=int, default=64, help="most examples at once while these grow")
    parser.add_argument("--samples", type=int, default=32, help="examples while the batch size grows")
    parser.add_argument("--sizes", type=int, nargs="*", default=[2, 8, 32], help="batch sizes")
    parser.add_argument("--steps", type=int, default=100, help="of APGD and FAB; fewer for a quick look")
    parser.add_argument("--queries", type=int, default=5000, help="of Square; fewer for a quick look")
    parser.add_argument("--precision", choices=PRECISIONS, default=AUTO, help="of the search")
    parser.add_argument("--warm-up", type=int, default=3, help="gradient and forward passes before the clock starts")
    return parser.parse_args()


def growth(
    module: nn.Module, examples: Examples, threat_model: ThreatModel, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """A row for each number of examples, then one for each batch size."""
    forms = warm_forms(module, examples, options)
    cases = [(count, options.batch_size) for count in options.counts]
    cases += [(options.samples, size) for size in options.sizes]
    rows = []
    for count, size in cases:
        options.batch_size = size
        rows.append({"n": count, "batch": size, **ensemble(forms, module, examples[:count], threat_model, options)})
    return rows


def ensemble(
    forms: Forms, module: nn.Module, examples: Examples, threat_model: ThreatModel, options: argparse.Namespace
) -> dict[str, Any]:
    """Seconds of each stage and of all, and what they leave."""
    engine = fast_engine(forms, threat_model, predictions(module, examples.inputs) == examples.labels)
    for stage in stages_of(options):
        measure(engine, stage, module, examples, threat_model, options)
    seconds = sum(engine.seconds.values())
    survivors = int(engine.robust.sum())
    each = seconds / survivors if survivors else float("nan")
    return {**engine.seconds, "all": seconds, "robust": survivors, "s per survivor": each}


if __name__ == "__main__":
    with errors_in_one_line():
        main()
