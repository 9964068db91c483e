"""Our AutoAttack engine beside pyautoattack: one process, the same model, examples and device, taking turns.

    python benchmarks/autoattack.py --model pgd-at --samples 64
    python benchmarks/autoattack.py --model path/to/file.py:factory --weights FILE --threat-model Linf:2/255

Every stage runs on the examples that the stages before it left robust, as in AutoAttack; each engine goes its own way.
Stages alternate between the engines, after both have warmed up on the model. Breaks are judged by the same plain model.
On a machine that others use too, run with OMP_NUM_THREADS=1 and read the CPU seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pyautoattack import AutoAttack as Package
from tabulate import tabulate
from torch import Tensor, nn

from bench import data, models
from bench.attacks.autoattack import ApgdCe, ApgdT, FabT, Square, fast
from bench.attacks.autoattack.fast.inference import Bfloat16, inference_form
from bench.attacks.autoattack.fast.ladder import climb
from bench.core.types import Classifier, Examples, ThreatModel
from bench.evaluation.counting import CountingClassifier
from bench.evaluation.precision import full_float32
from bench.ops import norms

TOLERANCE = 1 + 1e-5
FIGURES = ("seconds", "cpu_seconds", "forwards", "backwards", "n_robust")
Run = Callable[[Examples], Tensor]
Stage = ApgdCe | ApgdT | FabT | Square


@dataclass
class Tally:
    """What one engine has done so far."""

    robust: Tensor
    seconds: dict[str, float] = field(default_factory=dict)
    cpu_seconds: dict[str, float] = field(default_factory=dict)
    forwards: dict[str, int] = field(default_factory=dict)
    backwards: dict[str, int] = field(default_factory=dict)
    n_robust: dict[str, int] = field(default_factory=dict)


def main() -> None:
    """Parse the options, measure, print one table or JSON."""
    options = parse()
    torch.set_num_threads(options.threads or torch.get_num_threads())
    dataset = data.load(options.dataset, data_dir=options.data_dir)
    loaded = models.load(options.model, weights=options.weights, dataset=dataset, device=options.device)
    threat_model = ThreatModel.parse(options.threat_model) if options.threat_model else dataset.default_threat_model
    examples = dataset.examples[: options.samples].to(options.device)
    with full_float32():
        report = compare(loaded.module, examples, threat_model, options)
    report["settings"] = {
        "model": options.model,
        "threat_model": str(threat_model),
        "samples": len(examples),
        "device": options.device,
        "form": options.form,
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    sys.stdout.write(json.dumps(report, indent=2) + "\n" if options.json else render(report))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Our AutoAttack engine beside pyautoattack.")
    parser.add_argument("--model", required=True, help="a name of `bench list models`, or FILE.py:FACTORY")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--threat-model", help="such as Linf:8/255; default: the dataset's")
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--queries", type=int, default=5000, help="of Square; fewer for a quick look")
    parser.add_argument(
        "--trainable-reference",
        action="store_true",
        help="give pyautoattack parameters that require gradients, as a model fresh from its class has",
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--warm-up", type=int, default=3, help="gradient and forward passes before the clock starts")
    parser.add_argument(
        "--form",
        choices=("plain", "inference", "bfloat16"),
        default="inference",
        help="what the fast engine searches on: the model as it is, folded and channels last, or that in bfloat16 with"
        " every break settled in float32",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    return parser.parse_args()


def compare(
    module: nn.Module, examples: Examples, threat_model: ThreatModel, options: argparse.Namespace
) -> dict[str, Any]:
    """Run both engines, stage by stage, and say what each took and found."""
    counting = CountingClassifier(module)
    correct = predictions(module, examples.inputs) == examples.labels
    tallies = {"pyautoattack": Tally(robust=correct.clone()), "fast": Tally(robust=correct.clone())}
    forms = Forms.of(module, options.form, examples.inputs)
    for each in (module, *forms.counters):
        exercise(each, examples, options.warm_up)
    counters = {"pyautoattack": (counting,), "fast": forms.counters}
    all_stages: tuple[Stage, ...] = (ApgdCe(), ApgdT(), FabT(), Square(queries=options.queries))
    for number, stage in enumerate(all_stages):
        runs = {
            "pyautoattack": reference_run(counting, threat_model, stage),
            "fast": fast_run(forms, threat_model, stage),
        }
        for engine in sorted(runs, reverse=bool(number % 2)):  # whoever goes first takes turns
            with trainable(module, options.trainable_reference and engine == "pyautoattack"):
                measure(tallies[engine], stage.name, runs[engine], counters[engine], module, examples, threat_model)
    ours, theirs = tallies["fast"].robust, tallies["pyautoattack"].robust
    return {
        "clean": int(correct.sum()),
        "engines": {name: {key: getattr(tally, key) for key in FIGURES} for name, tally in tallies.items()},
        "refused": forms.refused,
        "only_reference_broke": examples.indices[correct & ours & ~theirs].tolist(),
        "only_fast_broke": examples.indices[correct & theirs & ~ours].tolist(),
    }


@dataclass
class Forms:
    """What the fast engine searches on, every pass counted.

    Args:
        exact: float32.
        low: bfloat16, or None where the search is in float32.
        refused: breaks claimed in bfloat16 that did not hold, stage by stage.
    """

    exact: CountingClassifier
    low: CountingClassifier | None = None
    refused: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, module: nn.Module, form: str, probe: Tensor) -> Forms:
        """The form asked for, of `module`."""
        if form == "plain":
            return cls(exact=CountingClassifier(module))
        exact = inference_form(module, probe)
        return cls(
            exact=CountingClassifier(exact), low=CountingClassifier(Bfloat16(exact)) if form == "bfloat16" else None
        )

    @property
    def counters(self) -> tuple[CountingClassifier, ...]:
        """What counts passes."""
        return (self.exact,) if self.low is None else (self.exact, self.low)


def measure(
    tally: Tally,
    name: str,
    run: Run,
    counters: tuple[CountingClassifier, ...],
    module: nn.Module,
    examples: Examples,
    threat_model: ThreatModel,
) -> None:
    """Run one stage of one engine on what it has left, and enter time, passes and breaks."""
    left = tally.robust.nonzero().squeeze(1)
    for counter in counters:
        counter.reset()
    synchronize(examples.inputs.device)
    start, cpu_start = time.perf_counter(), time.process_time()
    found = run(examples[left]) if len(left) else examples.inputs[left]
    synchronize(examples.inputs.device)
    tally.seconds[name] = time.perf_counter() - start
    tally.cpu_seconds[name] = time.process_time() - cpu_start
    tally.forwards[name] = sum(counter.forwards for counter in counters)
    tally.backwards[name] = sum(counter.backwards for counter in counters)
    if len(left):
        distance = norms.size((found - examples.inputs[left]).double(), threat_model.norm)
        broken = predictions(module, found) != examples.labels[left]
        tally.robust[left[broken & (distance <= float(threat_model.epsilon) * TOLERANCE)]] = False
    tally.n_robust[name] = int(tally.robust.sum())


def fast_run(forms: Forms, threat_model: ThreatModel, stage: Stage) -> Run:
    """Our engine's stage."""

    def search(classifier: Classifier, examples: Examples) -> Tensor:
        if isinstance(stage, FabT):
            return fast.fab(classifier, examples, threat_model, stage=stage, seed=0)
        if isinstance(stage, Square):
            return fast.square(classifier, examples, threat_model, stage=stage, seed=0)
        return fast.apgd(classifier, examples, threat_model, stage=stage, seed=0)

    def run(examples: Examples) -> Tensor:
        if forms.low is None:
            return search(forms.exact, examples)
        climbed = climb(search, forms.low, forms.exact, examples, threat_model)
        forms.refused[stage.name] = f"{climbed.n_refused} of {climbed.n_claimed}"
        return climbed.points

    return run


def reference_run(counting: CountingClassifier, threat_model: ThreatModel, stage: Stage) -> Run:
    """The package's stage, configured as its standard version configures it."""

    def run(examples: Examples) -> Tensor:
        package = Package(
            counting,
            norm=str(threat_model.norm),
            eps=float(threat_model.epsilon),
            seed=0,
            device=examples.inputs.device,
        )
        if isinstance(stage, Square):
            package.square.n_queries = stage.queries
        package.apgd.loss, package.fab.targeted, package.fab.n_restarts = "ce", True, 1
        search = {
            "apgd-ce": package.apgd,
            "apgd-t": package.apgd_targeted,
            "fab-t": package.fab,
            "square": package.square,
        }[stage.name]
        with torch.no_grad():
            moved: Tensor = search.perturb(examples.inputs.clone(), examples.labels.clone())
        return moved

    logging.getLogger("auto-attack").setLevel(logging.ERROR)
    return run


def exercise(module: nn.Module, examples: Examples, times: int) -> None:
    """Warm the model up: a few passes in both directions."""
    for _ in range(times):
        leaf = examples.inputs.clone().requires_grad_()
        torch.autograd.grad(module(leaf).sum(), leaf)


def predictions(module: nn.Module, inputs: Tensor) -> Tensor:
    """The classes that the model gives `inputs`, `(N,)`."""
    with torch.no_grad():
        classes: Tensor = module(inputs).argmax(1)
    return classes


def synchronize(device: torch.device) -> None:
    """Wait until the device has done all it was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextlib.contextmanager
def trainable(module: nn.Module, wanted: bool) -> Iterator[None]:
    """Let the parameters require gradients inside the block, as those of a model fresh from its class do."""
    before = [(each, each.requires_grad) for each in module.parameters()]
    try:
        for each, required in before:
            each.requires_grad_(wanted or required)
        yield
    finally:
        for each, required in before:
            each.requires_grad_(required)
            each.grad = None


def render(report: dict[str, Any]) -> str:
    """The report as one table and a line on the verdicts."""
    engines, settings = report["engines"], report["settings"]
    theirs, ours = engines["pyautoattack"], engines["fast"]
    rows = [
        [name, *(part[key][name] for key in FIGURES for part in (theirs, ours)), ratio(theirs, ours, name)]
        for name in theirs["seconds"]
    ]
    totals = [[sum(part[key].values()) for part in (theirs, ours)] for key in FIGURES[:-1]]
    last = [part["n_robust"][rows[-1][0]] for part in (theirs, ours)]
    rows.append(["all", *(value for pair in totals for value in pair), *last, totals[0][0] / max(totals[0][1], 1e-9)])
    headers = [
        "stage",
        "s ref",
        "s fast",
        "fwd ref",
        "fwd fast",
        "bwd ref",
        "bwd fast",
        "robust ref",
        "robust fast",
        "x",
    ]
    return "\n".join(
        (
            f"{settings['model']}, {settings['threat_model']}, {settings['samples']} examples, {report['clean']} clean;"
            f" {settings['device']} ({settings['threads']} threads), torch {settings['torch']},"
            f" fast engine on the {settings['form']} form",
            tabulate(rows, headers=headers, floatfmt=".2f", intfmt=","),
            f"breaks claimed in bfloat16 and refused: {report['refused'] or 'none'}",
            f"broken by pyautoattack alone: {report['only_reference_broke'] or 'none'};"
            f" by the fast engine alone: {report['only_fast_broke'] or 'none'}\n",
        )
    )


def ratio(theirs: dict[str, Any], ours: dict[str, Any], name: str) -> float:
    """How many times fewer seconds the fast engine took for a stage."""
    return float(theirs["seconds"][name] / max(ours["seconds"][name], 1e-9))


if __name__ == "__main__":
    main()
