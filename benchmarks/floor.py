"""How far a model's passes are from the floor: its operations over the rate that this device is measured to reach.

    python benchmarks/floor.py --model pgd-at --threads 1
    python benchmarks/floor.py --model aw-net --samples 40 --repeats 50 --json

One batch, forwards and with the gradient at the input, of the model as it was handed in and of the forms that our
engine searches on. Beside each pass stand its convolutions alone, one after the other, and its operations at the
highest rate that any of these convolutions or a large matrix product reaches. The tables below multiply up to what an
example costs that withstands AutoAttack, and to what constraint relaxation takes for each of the images, in the mean
of all, broken or not. Everything is timed in turns, and of each piece the quickest turn counts.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from engines import stages_of
from subject import CLOCKS, errors_in_one_line, load_subject, parser_of, positive
from tabulate import tabulate
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from bench.attacks import ConstraintRelaxation
from bench.core.errors import BenchError
from bench.core.types import Examples, ThreatModel
from bench.evaluation import FLOAT32, LADDER, CountingClassifier, Forms, Passes, full_float32
from bench.ops.precision import has_bfloat16
from bench.ops.waiting import wait_for

KINDS = ("forward", "gradient")
PRODUCTS = (512, 1024, 2048)
"""Sizes of square matrices."""


class Form(NamedTuple):
    """A form of the model, and in what it computes."""

    name: str
    network: nn.Module
    dtype: torch.dtype


class Piece(NamedTuple):
    """Something to time, and how many operations it is where that is known."""

    work: Callable[[], object]
    operations: int = 0


class Convolution(NamedTuple):
    """One call: shapes of input and weight, stride, padding, dilation, groups."""

    inputs: tuple[int, ...]
    weight: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int


class Convolutions(TorchDispatchMode):
    """Counts the convolutions that are computed inside the context, by what they are."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[Convolution] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.convolution.default:
            inputs, weight = (tuple(each.shape) for each in args[:2])
            stride, padding, dilation = map(tuple, args[3:6])
            self.seen[Convolution(inputs, weight, stride, padding, dilation, args[8])] += 1
        return func(*args, **(kwargs or {}))


def main() -> None:
    """Parse the options, measure, print two tables or JSON."""
    options = parse()
    module, examples, threat_model = load_subject(options, options.samples)
    with full_float32():
        rows = passes_of(module, examples.inputs, options)
    cost = cost_of(rows, survivors_passes(module, examples[:1], threat_model, options))
    relaxation = cost_of(rows, relaxations_passes(module, examples, threat_model), len(examples))
    if options.json:
        sys.stdout.write(json.dumps({"passes": rows, "survivor": cost, "relaxation": relaxation}, indent=2) + "\n")
        return
    sys.stdout.write(
        f"{options.model}, {len(examples)} images at once, {options.device} ({torch.get_num_threads()} threads), torch"
        f" {torch.__version__}, {options.clock} time, an image:\n{tabulate(rows, headers='keys', floatfmt='.3g')}\n\n"
        f"Seconds of an example that withstands AutoAttack:\n{tabulate(cost, headers='keys', floatfmt='.3g')}\n\n"
        "Seconds of constraint relaxation, the mean of these images:\n"
        f"{tabulate(relaxation, headers='keys', floatfmt='.3g')}\n"
    )


def parse() -> argparse.Namespace:
    """The command line."""
    parser = parser_of("A model's passes beside their floor.")
    parser.add_argument("--samples", type=positive, default=64, help="images at once")
    parser.add_argument("--repeats", type=positive, default=30, help="turns")
    parser.add_argument("--steps", type=positive, default=100, help="of APGD and FAB, for the cost of a survivor")
    parser.add_argument("--queries", type=positive, default=5000, help="of Square, likewise")
    return parser.parse_args()


def passes_of(module: nn.Module, inputs: Tensor, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each form and each kind of pass."""
    forms = forms_of(module, inputs)
    convolutions = convolutions_of(module, inputs)
    pieces = {form.name: pieces_of(form, inputs, convolutions) for form in forms}
    seconds = quickest(pieces, inputs.device, options)
    operations = {kind: operations_of(module, inputs[:1], kind) for kind in KINDS}
    rows = []
    for form in forms:
        rate = highest_rate(pieces[form.name], seconds[form.name])
        rows += [row_of(form, kind, operations[kind], rate, seconds[form.name], len(inputs)) for kind in KINDS]
    return rows


def highest_rate(pieces: Mapping[str, Sequence[Piece]], seconds: Mapping[str, Sequence[float]]) -> float:
    """Most operations a second of all pieces."""
    return max(
        piece.operations / taken
        for what, parts in pieces.items()
        for piece, taken in zip(parts, seconds[what], strict=True)
    )


def row_of(
    form: Form, kind: str, operations: int, rate: float, seconds: Mapping[str, Sequence[float]], n_images: int
) -> dict[str, Any]:
    """What a pass takes, what its convolutions take alone, and what its operations would take at the highest rate."""
    ms = 1e3 * sum(seconds[kind]) / n_images
    floor = 1e3 * operations / rate
    return {
        "form": form.name,
        "pass": kind,
        "million operations": operations / 1e6,
        "ms": ms,
        "convolutions alone, ms": 1e3 * sum(seconds[f"{kind} alone"]) / n_images,
        "highest GFLOP/s": rate / 1e9,
        "floor, ms": floor,
        "times the floor": ms / floor,
    }


def cost_of(rows: Sequence[Mapping[str, Any]], passes: Passes, n_examples: int = 1) -> list[dict[str, Any]]:
    """A row for each form: the passes of one example, as they are, as convolutions alone, and at the floor."""
    forwards = (passes.forwards - passes.backwards) / n_examples
    gradients = passes.backwards / n_examples
    counts = {"forward": forwards, "gradient": gradients}
    costs = []
    for name in dict.fromkeys(row["form"] for row in rows):
        mine = [row for row in rows if row["form"] == name]
        sums = {
            title: sum(counts[row["pass"]] * row[column] for row in mine) / 1e3
            for title, column in (
                ("in passes", "ms"),
                ("convolutions alone", "convolutions alone, ms"),
                ("floor", "floor, ms"),
            )
        }
        costs.append({"form": name, "forwards alone": counts["forward"], "gradients": gradients, **sums})
    return costs


def forms_of(module: nn.Module, inputs: Tensor) -> list[Form]:
    """The model as it was handed in, its form in float32, and that in bfloat16 where device and model have one."""
    forms = [Form("as handed in", module, torch.float32)]
    exact = Forms.of(module, inputs, engine="fast", precision=FLOAT32).exact.module
    forms.append(Form("float32", exact, torch.float32))
    if not has_bfloat16(inputs.device):
        return forms
    try:
        low = Forms.of(module, inputs, engine="fast", precision=LADDER).low
    except BenchError:
        low = None
    return [*forms, Form("bfloat16", low.module, torch.bfloat16)] if low is not None else forms


def pieces_of(form: Form, inputs: Tensor, convolutions: Counter[Convolution]) -> dict[str, list[Piece]]:
    """What to time of a form."""
    alone = [
        both for each, count in convolutions.items() for both in [convolved(each, form.dtype, inputs.device)] * count
    ]
    factors = [torch.ones(size, size, dtype=form.dtype, device=inputs.device) for size in PRODUCTS]
    return {
        "forward": [Piece(lambda: answered(form.network, inputs))],
        "gradient": [Piece(lambda: slope(form.network, inputs))],
        "forward alone": [forwards for forwards, _ in alone],
        "gradient alone": [piece for both in alone for piece in both],
        "products": [Piece(functools.partial(torch.matmul, each, each), 2 * len(each) ** 3) for each in factors],
    }


def quickest(
    pieces: Mapping[str, Mapping[str, Sequence[Piece]]], device: torch.device, options: argparse.Namespace
) -> dict[str, dict[str, list[float]]]:
    """Seconds of each piece of each form in its quickest turn."""
    least = {name: {what: [math.inf] * len(parts) for what, parts in groups.items()} for name, groups in pieces.items()}
    for _ in range(options.repeats):
        for name, groups in pieces.items():
            for what, parts in groups.items():
                taken = (seconds_of(piece, device, CLOCKS[options.clock]) for piece in parts)
                least[name][what] = list(map(min, least[name][what], taken))
    return least


def seconds_of(piece: Piece, device: torch.device, clock: Callable[[], float]) -> float:
    """What one turn takes."""
    wait_for(device)
    start = clock()
    piece.work()
    wait_for(device)
    return clock() - start


def answered(network: nn.Module, inputs: Tensor) -> Tensor:
    """The logits, without a graph."""
    with torch.no_grad():
        logits: Tensor = network(inputs)
    return logits


def slope(network: nn.Module, inputs: Tensor) -> Tensor:
    """The gradient of the sum of all logits at the inputs."""
    leaf = inputs.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(network(leaf).sum(), leaf)
    return gradient


def convolved(each: Convolution, dtype: torch.dtype, device: torch.device) -> tuple[Piece, Piece]:
    """A convolution by itself, channels last: forwards, and the gradient at its input."""

    def made(shape: tuple[int, ...]) -> Tensor:
        return torch.ones(shape, dtype=dtype, device=device).contiguous(memory_format=torch.channels_last)

    geometry = (each.stride, each.padding, each.dilation, False, [0, 0], each.groups)
    there = (made(each.inputs), made(each.weight), None, *geometry)
    result = torch.ops.aten.convolution(*there)
    back = (result, *there, [True, False, False])
    operations = 2 * result.numel() * math.prod(each.weight[1:])
    return (
        Piece(functools.partial(torch.ops.aten.convolution, *there), operations),
        Piece(functools.partial(torch.ops.aten.convolution_backward, *back), operations),
    )


def convolutions_of(module: nn.Module, inputs: Tensor) -> Counter[Convolution]:
    """The model's convolutions in one pass forwards."""
    with Convolutions() as noted:
        answered(module, inputs)
    return noted.seen


def operations_of(module: nn.Module, inputs: Tensor, kind: str) -> int:
    """Floating-point operations of products and convolutions in one pass, by torch's own count."""
    leaf = inputs.clone().requires_grad_(kind == "gradient")
    with FlopCounterMode(display=False) as counter:
        logits = module(leaf)
        if logits.requires_grad:
            logits.sum().backward()
    return counter.get_total_flops()


class Fortress(nn.Module):
    """Never leaves a class, and yet has gradients: what counts a survivor's passes.

    Args:
        label: the class.
        n_inputs: numbers in one input.
        n_classes: how many classes there are.
    """

    def __init__(self, label: int, n_inputs: int, n_classes: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = torch.randn(n_inputs, n_classes, generator=generator)
        self.shift = torch.zeros(n_classes).index_fill(0, torch.tensor([label]), 1e4)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits `(N, n_classes)`."""
        return inputs.flatten(1) @ self.weight + self.shift


def survivors_passes(
    module: nn.Module, example: Examples, threat_model: ThreatModel, options: argparse.Namespace
) -> Passes:
    """Passes of AutoAttack at its full budget on one example that it does not break, counted on a small model."""
    n_classes = answered(module, example.inputs).shape[1]
    example = example.to(torch.device("cpu"))
    counting = CountingClassifier(Fortress(int(example.labels), example.inputs[0].numel(), n_classes))
    for stage in stages_of(options):
        stage.perturb(counting, example, threat_model, seed=0)
    return counting.passes


def relaxations_passes(module: nn.Module, examples: Examples, threat_model: ThreatModel) -> Passes:
    """Passes of constraint relaxation on those of the examples that the model classifies correctly."""
    correct = (answered(module, examples.inputs).argmax(1) == examples.labels).nonzero().squeeze(1)
    counting = CountingClassifier(module)
    ConstraintRelaxation().perturb(counting, examples[correct], threat_model, seed=0)
    return counting.passes


if __name__ == "__main__":
    with errors_in_one_line():
        main()
