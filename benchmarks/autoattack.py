"""Our AutoAttack engine beside pyautoattack: one process, the same model, examples and device, taking turns.

    python benchmarks/autoattack.py --model pgd-at --samples 64
    python benchmarks/autoattack.py --model path/to/file.py:factory --weights FILE --threat-model Linf:2/255
    python benchmarks/autoattack.py --model pgd-at --only fast --steps 3 --queries 5   (peak memory of one engine)

Constraint relaxation, on the forms of our engine, stands beside all of them as one attack, on all examples.
Every stage runs on the examples that the stages before it left robust, as in AutoAttack; each engine goes its own way.
Stages alternate between the engines, after both have warmed up on the model. Breaks are judged by the same plain model.
pyautoattack gets the model as its class makes it, with parameters that require gradients, unless --frozen-reference.
On a machine that others use too, run with OMP_NUM_THREADS=1 and --clock cpu.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
from typing import Any

import torch
from engines import (
    Engine,
    exercise,
    fast_engine,
    measure,
    predictions,
    reference_engine,
    stages_of,
    trainable,
    warm_forms,
)
from subject import errors_in_one_line, load_subject, parser_of
from tabulate import tabulate
from torch import Tensor, nn

from bench.acceleration import FastForms
from bench.attacks import ConstraintRelaxation
from bench.core.types import Examples, ThreatModel
from bench.evaluation import AUTO, PRECISIONS, CountingClassifier, choose_precision, full_float32

FIGURES = ("seconds", "forwards", "backwards", "n_robust")
ENGINES = ("pyautoattack", "fast")
RELAXATION = ConstraintRelaxation()
HEADERS = ["stage", "s ref", "s fast", "fwd ref", "fwd fast", "bwd ref", "bwd fast", "robust ref", "robust fast", "x"]


def main() -> None:
    """Parse the options, measure, print one table or JSON."""
    options = parse()
    module, examples, threat_model = load_subject(options, options.samples)
    with full_float32():
        options.precision = choose_precision(
            options.precision, FastForms(module, examples.inputs), examples.inputs
        ).precision
        report = compare(module, examples, threat_model, options)
    report["settings"] = {
        "model": options.model,
        "threat_model": str(threat_model),
        "samples": len(examples),
        "batch_size": options.batch_size,
        "device": options.device,
        "precision": options.precision,
        "clock": options.clock,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    sys.stdout.write(json.dumps(report, indent=2) + "\n" if options.json else render(report))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = parser_of("Our AutoAttack engine beside pyautoattack.")
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=64, help="most examples at once, for both engines")
    parser.add_argument("--steps", type=int, default=100, help="of APGD and FAB; fewer for a quick look")
    parser.add_argument("--queries", type=int, default=5000, help="of Square; fewer for a quick look")
    parser.add_argument("--precision", choices=PRECISIONS, default=AUTO, help="what the fast engine searches in")
    parser.add_argument("--frozen-reference", action="store_true", help="spare pyautoattack the weights' gradients")
    parser.add_argument("--only", choices=ENGINES, help="run one engine alone, for its peak memory")
    parser.add_argument("--warm-up", type=int, default=3, help="gradient and forward passes before the clock starts")
    return parser.parse_args()


def compare(
    module: nn.Module, examples: Examples, threat_model: ThreatModel, options: argparse.Namespace
) -> dict[str, Any]:
    """Run both engines, stage by stage, and say what each took and found."""
    correct = predictions(module, examples.inputs) == examples.labels
    counting = CountingClassifier(module)
    engines: dict[str, Engine] = {}
    if options.only != "fast":
        exercise(module, examples, options)
        engines["pyautoattack"] = reference_engine(counting, threat_model, correct)
    if options.only != "pyautoattack":
        forms = warm_forms(module, examples, options)
        engines["fast"] = fast_engine(forms, threat_model, correct)
    for number, stage in enumerate(stages_of(options)):
        for name in sorted(engines, reverse=bool(number % 2)):  # whoever goes first takes turns
            with trainable(module, name == "pyautoattack" and not options.frozen_reference):
                measure(engines[name], stage, module, examples, threat_model, options)
    found = {
        "clean": int(correct.sum()),
        "engines": {name: {key: getattr(each, key) for key in FIGURES} for name, each in engines.items()},
        "rejected": rejected(engines["fast"]) if "fast" in engines else {},
        "peak_megabytes": peak_megabytes(options.device),
        **differences(engines, correct, examples),
    }
    if len(engines) == len(ENGINES):
        relaxed = fast_engine(forms, threat_model, correct)
        measure(relaxed, RELAXATION, module, examples, threat_model, options)
        found["relaxation"] = relaxation(relaxed, engines["pyautoattack"], correct, examples)
    return found


def differences(engines: dict[str, Engine], correct: Tensor, examples: Examples) -> dict[str, list[int]]:
    """Indices of the examples that one engine alone broke."""
    if len(engines) < len(ENGINES):
        return {}
    theirs, ours = (engines[name].robust for name in ENGINES)
    return {
        "only_reference_broke": examples.indices[correct & ours & ~theirs].tolist(),
        "only_fast_broke": examples.indices[correct & theirs & ~ours].tolist(),
    }


def relaxation(relaxed: Engine, reference: Engine, correct: Tensor, examples: Examples) -> dict[str, Any]:
    """Constraint relaxation by itself beside the package: what it cost, and what one of the two alone broke."""
    seconds = relaxed.seconds[RELAXATION.name]
    return {
        "seconds": seconds,
        "times": sum(reference.seconds.values()) / max(seconds, 1e-9),
        "forwards_an_example": relaxed.forwards[RELAXATION.name] / len(examples),
        "gradients_an_example": relaxed.backwards[RELAXATION.name] / len(examples),
        "n_robust": relaxed.n_robust[RELAXATION.name],
        "only_reference_broke": examples.indices[correct & relaxed.robust & ~reference.robust].tolist(),
        "only_relaxation_broke": examples.indices[correct & reference.robust & ~relaxed.robust].tolist(),
    }


def rejected(engine: Engine) -> dict[str, str]:
    """By stage, how many of the breaks claimed in bfloat16 did not hold in float32."""
    return {stage: f"{engine.rejected[stage]} of {count}" for stage, count in engine.claimed.items()}


def peak_megabytes(device: str) -> float:
    """Most memory that this process had: on the GPU what torch allocated, else resident."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def render(report: dict[str, Any]) -> str:
    """The report as one table and what is to be said about it."""
    engines, settings = report["engines"], report["settings"]
    lines = [
        f"{settings['model']}, {settings['threat_model']}, {settings['samples']} examples, {report['clean']} clean;"
        f" {settings['device']} ({settings['threads']} threads), batches of {settings['batch_size']},"
        f" torch {settings['torch']}, {settings['clock']} seconds, fast engine in {settings['precision']}"
    ]
    if len(engines) < len(ENGINES):
        (name, alone), *_ = engines.items()
        rows = [[stage, *(alone[key][stage] for key in FIGURES)] for stage in alone["seconds"]]
        lines.append(tabulate(rows, headers=["stage", *FIGURES], floatfmt=".2f", intfmt=","))
        lines.append(f"{name} alone: at most {report['peak_megabytes']:.0f} MB\n")
        return "\n".join(lines)
    lines += [
        tabulate(table(*(engines[name] for name in ENGINES)), headers=HEADERS, floatfmt=".2f", intfmt=","),
        f"breaks claimed in bfloat16 and rejected: {report['rejected'] or 'none'}",
        f"broken by pyautoattack alone: {report['only_reference_broke'] or 'none'};"
        f" by the fast engine alone: {report['only_fast_broke'] or 'none'}",
        "constraint relaxation instead of all stages: {seconds:.2f} s, {times:.1f} times fewer than pyautoattack;"
        " {forwards_an_example:.1f} forwards and {gradients_an_example:.1f} gradients an example; {n_robust} robust;"
        " broken by pyautoattack alone: {only_reference_broke}, by it alone: {only_relaxation_broke}\n".format(
            **report["relaxation"]
        ),
    ]
    return "\n".join(lines)


def table(theirs: dict[str, Any], ours: dict[str, Any]) -> list[list[Any]]:
    """A row for each stage and one for all; the last column is how many times fewer seconds the fast engine took."""
    rows = [
        [name, *(part[key][name] for key in FIGURES for part in (theirs, ours)), times(theirs, ours, [name])]
        for name in theirs["seconds"]
    ]
    totals = [sum(part[key].values()) for key in FIGURES[:-1] for part in (theirs, ours)]
    left = [part["n_robust"][rows[-1][0]] for part in (theirs, ours)]
    return [*rows, ["all", *totals, *left, times(theirs, ours, list(theirs["seconds"]))]]


def times(theirs: dict[str, Any], ours: dict[str, Any], names: list[str]) -> float:
    """How many times fewer seconds the fast engine took for some stages."""
    seconds = [sum(part["seconds"][name] for name in names) for part in (theirs, ours)]
    return float(seconds[0] / max(seconds[1], 1e-9))


if __name__ == "__main__":
    with errors_in_one_line():
        main()
