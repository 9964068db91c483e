"""Our own share of an attack's time: what is not spent in the model's forward and backward passes.

    python benchmarks/overhead.py --model pgd-at
    python benchmarks/overhead.py --width 64 --samples 32      (a ResNet-18 of that width with random weights)

Some steps of each attack, and all of constraint relaxation, run on the form of the model that the harness would search
on, then comes the verdict on the model itself. With random weights, examples are labelled as the model labels them,
and epsilon is 1/1000.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from subject import errors_in_one_line
from tabulate import tabulate
from torch import Tensor, nn

from bench import data, models
from bench.acceleration import FastForms
from bench.attacks import PGD, ConstraintRelaxation
from bench.attacks.autoattack import ApgdCe, ApgdT, FabT, Square
from bench.core.types import Examples, ThreatModel
from bench.evaluation import AUTO, PRECISIONS, Forms, choose_precision, full_float32, judge
from bench.models.architectures import ARCHITECTURES

ATTACKS = (
    PGD(steps=10, verdict_only=True),
    ApgdCe(engine="fast", steps=10),
    ApgdT(engine="fast", steps=10, targets=2),
    FabT(engine="fast", steps=10, targets=2),
    Square(engine="fast", queries=100),
    ConstraintRelaxation(),
)
Clock = Callable[[], float]


class Stopwatch(nn.Module):
    """A model whose passes are timed, forwards and backwards.

    Args:
        module: maps inputs to logits.
        clock: in seconds.
    """

    def __init__(self, module: nn.Module, clock: Clock) -> None:
        super().__init__()
        self.module, self.clock, self.seconds, self.began = module, clock, 0.0, 0.0

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits, as the module gives them."""
        if torch.is_grad_enabled() and inputs.requires_grad:
            inputs = inputs.view_as(inputs)
            inputs.register_hook(self._backward_ends)
        start = self.clock()
        logits: Tensor = self.module(inputs)
        self.seconds += self.clock() - start
        if logits.requires_grad:
            logits.register_hook(self._backward_begins)
        return logits

    def _backward_begins(self, _: Tensor) -> None:
        self.began = self.clock()

    def _backward_ends(self, _: Tensor) -> None:
        self.seconds += self.clock() - self.began


def main() -> None:
    """Measure each attack once, after it has warmed up, and print one table."""
    options = parse()
    torch.set_num_threads(options.threads)
    dataset = data.load(options.dataset, data_dir=options.data_dir)
    with full_float32():
        module, examples, threat_model = subject(dataset, options)
        precision = choose_precision(options.precision, FastForms(module, examples.inputs), examples.inputs).precision
        form = Forms.of(module, examples.inputs, engine="fast", precision=precision)
        search, original = (
            Stopwatch(each.module, time.process_time) for each in (form.low or form.exact, form.original)
        )
        rows = [measure(attack, search, original, examples, threat_model) for attack in ATTACKS]
    what = f"{options.model} of width {options.width}" if options.model == "resnet18" else options.model
    sys.stdout.write(
        f"{what}, {threat_model}, {len(examples)} examples in one batch, {precision}, {options.threads} threads,"
        f" torch {torch.__version__}, CPU seconds\n\n{tabulate(rows, headers='keys', floatfmt='.2f')}\n"
    )


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet18", help="as for `bench run`; default: random weights")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--width", type=int, default=64, help="of the ResNet-18 with random weights")
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--samples", type=int, default=64, help="size of the batch")
    parser.add_argument("--precision", choices=PRECISIONS, default=AUTO)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def subject(dataset: data.Dataset, options: argparse.Namespace) -> tuple[nn.Module, Examples, ThreatModel]:
    """The model, examples that it classifies as they are labelled, and a threat model under which most of them last."""
    if options.model != "resnet18":
        module = models.load(options.model, weights=options.weights, dataset=dataset, device="cpu").module
        examples = dataset.examples[: 4 * options.samples]
        with torch.no_grad():
            correct = (module(examples.inputs).argmax(1) == examples.labels).nonzero().squeeze(1)
        return module, examples[correct[: options.samples]], ThreatModel.parse("Linf:2/255")
    torch.manual_seed(0)
    module = ARCHITECTURES.get("resnet18").build(width=options.width).eval().requires_grad_(False)
    examples = dataset.examples[: options.samples]
    with torch.no_grad():
        labels = torch.cat([module(part.inputs).argmax(1) for part in examples.split(8)])
    return module, replace(examples, labels=labels), ThreatModel.parse("Linf:1/1000")


def measure(
    attack: Any, search: Stopwatch, original: Stopwatch, examples: Examples, threat_model: ThreatModel
) -> dict[str, Any]:
    """Seconds of one attack, and those of them that the model took."""
    for _ in range(2):  # the first warms up
        search.seconds = original.seconds = 0.0
        start = time.process_time()
        judge(original, attack.perturb(search, examples, threat_model, seed=0), examples, threat_model)
        seconds = time.process_time() - start
    passes = search.seconds + original.seconds
    return {"attack": attack.name, "seconds": seconds, "in the model": passes, "own %": 100 * (1 - passes / seconds)}


if __name__ == "__main__":
    with errors_in_one_line():
        main()
