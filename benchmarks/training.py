"""Our training step beside a plain float32 one: one process, the same network, batch and attack steps, taking turns.

    python benchmarks/training.py
    python benchmarks/training.py --threads 1 --rounds 5

The plain step is PGD adversarial training as public code has it: float32, contiguous memory, the attack in training
mode through `loss.backward()`, which also computes the gradients of the weights. Ours is the step of `bench train` with
the `small` recipe of pgd-at. Images are random: the time does not depend on them.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable

import torch
from subject import errors_in_one_line
from tabulate import tabulate
from torch import Tensor, nn
from torch.nn import functional

from bench.core.types import ThreatModel
from bench.jobs.request import pick_device
from bench.models.architectures import ARCHITECTURES
from bench.ops.waiting import wait_for
from bench.training import Averaged, Run, augmented, optimizer_of, step
from bench.training.objectives.objective import Context
from bench.training.recipes import RECIPES

BATCH = 128
EPSILON = 8 / 255
STEPS_PER_ROUND = 8


def main() -> None:
    """Parse the options, measure, print one table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each, alternating (default 5)")
    parser.add_argument("--threads", type=int, help="threads of torch (default: torch's)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    torch.set_num_threads(options.threads or torch.get_num_threads())
    device = pick_device(options.device)
    seconds = measure({"plain float32": plain_step(device), "bench train": our_step(device)}, options.rounds, device)
    sys.stdout.write(as_json(seconds) if options.json else as_text(seconds, device))


def as_json(seconds: dict[str, list[float]]) -> str:
    """Images per second, their ratio, and the seconds of each round."""
    speeds = images_per_second(seconds)
    return json.dumps({"images_per_second": speeds, "ratio": ratio(speeds), "seconds": seconds}) + "\n"


def as_text(seconds: dict[str, list[float]], device: torch.device) -> str:
    """One table, and the ratio of the speeds."""
    speeds = images_per_second(seconds)
    rows = [(name, speed, min(seconds[name]), max(seconds[name])) for name, speed in speeds.items()]
    table = tabulate(rows, headers=("step", "images/s", "fastest round, s", "slowest round, s"), floatfmt=".2f")
    machine = f"{platform.machine()}, {device}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    return f"{machine}\n{table}\nratio: {ratio(speeds):.2f}\n"


def images_per_second(seconds: dict[str, list[float]]) -> dict[str, float]:
    """Speed in the median round."""
    return {name: BATCH * STEPS_PER_ROUND / statistics.median(times) for name, times in seconds.items()}


def ratio(speeds: dict[str, float]) -> float:
    """How many times faster ours is."""
    return speeds["bench train"] / speeds["plain float32"]


def measure(steps: dict[str, Callable[[], None]], rounds: int, device: torch.device) -> dict[str, list[float]]:
    """Seconds of each round of each step; the first round of each only warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 1):
        for name, run in steps.items():
            began = time.perf_counter()
            for _ in range(STEPS_PER_ROUND):
                run()
            wait_for(device)
            if turn:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def plain_step(device: torch.device) -> Callable[[], None]:
    """A step of PGD adversarial training with nothing done for speed."""
    model = network(device).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    inputs, labels = batch(device)
    attack = RECIPES.get("pgd-at").plan("small").objective.attack  # type: ignore[attr-defined]
    size = float(attack.relative_step_size) * EPSILON

    def run() -> None:
        delta = torch.empty_like(inputs).uniform_(-EPSILON, EPSILON)
        for _ in range(attack.steps):
            delta.requires_grad_()
            functional.cross_entropy(model(torch.clamp(inputs + delta, 0, 1)), labels).backward()
            assert delta.grad is not None
            delta = (delta.detach() + size * delta.grad.sign()).clamp(-EPSILON, EPSILON)
        loss = functional.cross_entropy(model(torch.clamp(inputs + delta, 0, 1)), labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return run


def our_step(device: torch.device) -> Callable[[], None]:
    """The step of `bench train`, with augmentation and averaged weights."""
    plan = RECIPES.get("pgd-at").plan("small")
    model = network(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    assert plan.ema is not None
    state = Run(model=model, identity={}, average=Averaged(model, plan.ema))
    optimizer = optimizer_of(model, plan)
    context = Context(
        epoch=1.0, epochs=plan.epochs, threat_model=ThreatModel.parse("Linf:8/255"), generator=torch.Generator(device)
    )
    inputs, labels = batch(device)

    def run() -> None:
        step(state, plan, augmented(plan, inputs, context.generator), labels, optimizer, context)

    return run


def network(device: torch.device) -> nn.Module:
    """The network of the small pgd-at recipe, untrained."""
    plan = RECIPES.get("pgd-at").plan("small")
    built = ARCHITECTURES.get(plan.architecture).build(num_classes=10, in_channels=3, **plan.arguments)
    return built.to(device)


def batch(device: torch.device) -> tuple[Tensor, Tensor]:
    """Random images and labels."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.rand(BATCH, 3, 32, 32, generator=generator).to(device)
    return inputs, torch.randint(10, (BATCH,), generator=generator).to(device)


if __name__ == "__main__":
    with errors_in_one_line():
        main()
