"""PGD-20 beside foolbox and ART: seconds, peak memory, and how our seconds grow with examples and batch size.

    python benchmarks/pgd.py --model pgd-at --samples 64
    python benchmarks/pgd.py --model pgd-at --samples 64 --grow          (seconds against examples, and against batches)
    python benchmarks/pgd.py --model pgd-at --samples 64 --only foolbox  (peak memory of one of them)

All take 20 steps of epsilon / 4 from a random start in the ball, on the same model, examples and device, in turns,
after each has warmed up. Foolbox and ART get the model as its class makes it, with parameters that require gradients.
Ours searches in the precision that a run would (--precision auto), and also verifies: every candidate is judged once
more on the model itself in float32, as the harness does.
ART is not needed; it takes part where it is installed (pip install adversarial-robustness-toolbox).
"""

from __future__ import annotations

import argparse
import copy
import json
import resource
import sys
import warnings
from collections.abc import Callable
from typing import Any

import torch
from subject import CLOCKS, errors_in_one_line, load_subject, parser_of
from tabulate import tabulate
from torch import Tensor, nn

from bench.acceleration import FastForms
from bench.attacks import PGD
from bench.core.types import Examples, Norm, ThreatModel
from bench.evaluation import AUTO, PRECISIONS, Forms, choose_precision, full_float32, judge
from bench.ops.waiting import wait_for

STEPS = 20
RELATIVE_STEP = 0.25
NAMES = ("bench", "foolbox", "art")
Run = Callable[[Examples], Tensor]


def main() -> None:
    """Parse the options, measure, print tables or JSON."""
    options = parse()
    module, examples, threat_model = load_subject(options, options.samples)
    if threat_model.norm is not Norm.LINF:
        raise SystemExit("Expected an Linf threat model: the three libraries' L2 steps are not the same.")
    with full_float32():
        options.precision = choose_precision(
            options.precision, FastForms(module, examples.inputs), examples.inputs
        ).precision
        module.requires_grad_(True)
        runs = make_runs(module, examples, threat_model, options)
        report: dict[str, Any] = {"table": compare(runs, module, examples, threat_model, options)}
        if options.grow and "bench" in runs:
            report["growth"] = growth(runs["bench"], examples, options)
    report["settings"] = (
        f"{options.model}, {threat_model}, {len(examples)} examples in batches of {options.batch_size}, PGD-{STEPS};"
        f" ours in {options.precision};"
        f" {options.device} ({torch.get_num_threads()} threads), torch {torch.__version__}, {options.clock} seconds,"
        f" best of {options.rounds}; this process had at most {peak_megabytes(options.device):.0f} MB"
    )
    sys.stdout.write(json.dumps(report, indent=2) + "\n" if options.json else render(report))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = parser_of("PGD-20 beside foolbox and ART.")
    parser.add_argument("--samples", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3, help="how often each is timed; the best counts")
    parser.add_argument("--only", choices=NAMES, help="run one alone, for its peak memory")
    parser.add_argument("--grow", action="store_true", help="also time ours on more examples and other batch sizes")
    parser.add_argument("--precision", choices=PRECISIONS, default=AUTO, help="in which ours takes gradients")
    return parser.parse_args()


def make_runs(
    module: nn.Module, examples: Examples, threat_model: ThreatModel, options: argparse.Namespace
) -> dict[str, Run]:
    """What takes part: each from a batch of examples to adversarial ones."""
    makers = {"bench": bench_run, "foolbox": foolbox_run, "art": art_run}
    runs: dict[str, Run] = {}
    for name in (options.only,) if options.only else NAMES:
        try:
            runs[name] = makers[name](module, examples, threat_model, options)
        except ModuleNotFoundError as error:
            sys.stderr.write(
                f"{name} takes no part: {error}. Install adversarial-robustness-toolbox or foolbox for it.\n"
            )
    return runs


def bench_run(module: nn.Module, examples: Examples, threat_model: ThreatModel, options: argparse.Namespace) -> Run:
    """Ours, on the form that the harness would give it, with the harness's verification."""
    frozen = copy.deepcopy(module).requires_grad_(False)
    forms = Forms.of(frozen, examples.inputs, engine="fast", precision=options.precision)
    attack = PGD(steps=STEPS, verdict_only=True)

    def run(batch: Examples) -> Tensor:
        points = forms.search(attack, batch, threat_model, seed=0).points
        judge(frozen, points, batch, threat_model)
        return points

    return run


def foolbox_run(module: nn.Module, examples: Examples, threat_model: ThreatModel, _: argparse.Namespace) -> Run:
    """Foolbox's LinfPGD."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from foolbox.attacks import LinfPGD
        from foolbox.models.pytorch import PyTorchModel
    model = PyTorchModel(module, bounds=(0, 1), device=examples.inputs.device)
    attack = LinfPGD(rel_stepsize=RELATIVE_STEP, steps=STEPS, random_start=True)

    def run(batch: Examples) -> Tensor:
        _, clipped, _ = attack(model, batch.inputs, batch.labels, epsilons=float(threat_model.epsilon))
        moved: Tensor = clipped
        return moved

    return run


def art_run(module: nn.Module, examples: Examples, threat_model: ThreatModel, _: argparse.Namespace) -> Run:
    """ART's ProjectedGradientDescent, its PyTorch version."""
    from art.attacks.evasion.projected_gradient_descent.projected_gradient_descent_pytorch import (
        ProjectedGradientDescentPyTorch,
    )
    from art.estimators.classification import PyTorchClassifier

    with torch.no_grad():
        classes = module(examples.inputs[:1]).shape[1]
    estimator = PyTorchClassifier(
        model=module,
        loss=nn.CrossEntropyLoss(),
        input_shape=tuple(examples.inputs.shape[1:]),
        nb_classes=classes,
        clip_values=(0.0, 1.0),
        device_type="gpu" if examples.inputs.device.type == "cuda" else "cpu",
    )
    epsilon = float(threat_model.epsilon)

    def run(batch: Examples) -> Tensor:
        attack = ProjectedGradientDescentPyTorch(
            estimator,
            norm="inf",
            eps=epsilon,
            eps_step=RELATIVE_STEP * epsilon,
            max_iter=STEPS,
            num_random_init=1,
            batch_size=len(batch),
            verbose=False,
        )
        return torch.from_numpy(attack.generate(batch.inputs.cpu().numpy(), batch.labels.cpu().numpy()))

    return run


def compare(
    runs: dict[str, Run], module: nn.Module, examples: Examples, threat_model: ThreatModel, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Time all in turns; the best round counts."""
    seconds = dict.fromkeys(runs, float("inf"))
    robust: dict[str, int] = {}
    for number in range(1 + options.rounds):  # the first warms up
        for name, run in runs.items():
            spent, points = timed(run, examples, options.batch_size, options)
            seconds[name] = min(seconds[name], spent) if number else seconds[name]
            robust[name] = int(judge(module, points, examples, threat_model).robust.sum())
    ours = seconds.get("bench")
    return [
        {
            "attack": name,
            "seconds": seconds[name],
            "ms_per_example": 1000 * seconds[name] / len(examples),
            "n_robust": robust[name],
            "x": seconds[name] / ours if ours else None,
        }
        for name in runs
    ]


def growth(run: Run, examples: Examples, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Our seconds on more and more examples, and on all of them in batches of several sizes."""
    rows = []
    for share in (4, 2, 1):
        part = examples[: max(1, len(examples) // share)]
        spent = min(timed(run, part, options.batch_size, options)[0] for _ in range(options.rounds))
        rows.append({"n": len(part), "batch_size": options.batch_size, "seconds": spent})
    for size in (1, 4, 16, 64, 256):
        if size <= len(examples) and size != options.batch_size:
            spent = timed(run, examples, size, options)[0]
            rows.append({"n": len(examples), "batch_size": size, "seconds": spent})
    return [{**row, "ms_per_example": 1000 * row["seconds"] / row["n"]} for row in rows]


def timed(run: Run, examples: Examples, size: int, options: argparse.Namespace) -> tuple[float, Tensor]:
    """Seconds for all examples, batch by batch, and what came back."""
    clock = CLOCKS[options.clock]
    wait_for(examples.inputs.device)
    start = clock()
    points = [run(part) for part in examples.split(size)]
    wait_for(examples.inputs.device)
    return clock() - start, torch.cat(points)


def peak_megabytes(device: str) -> float:
    """Most memory that this process had: on the GPU what torch allocated, else resident."""
    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def render(report: dict[str, Any]) -> str:
    """The settings and one table, or two."""
    parts = [report["settings"], tabulate(report["table"], headers="keys", floatfmt=".2f")]
    if "growth" in report:
        parts.append(tabulate(report["growth"], headers="keys", floatfmt=".2f"))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    with errors_in_one_line():
        main()
