"""AutoAttack's stages on our engine and on pyautoattack, each measured the same way: what the benchmarks share.

Every stage runs on the examples that the stages before it left robust, as in AutoAttack; each engine goes its own way.
Breaks are judged by the same plain model.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from pyautoattack import AutoAttack as Package
from subject import CLOCKS
from torch import Tensor, nn

from bench.attacks import ConstraintRelaxation
from bench.attacks.autoattack import ApgdCe, ApgdT, FabT, Square
from bench.core.types import Examples, ThreatModel
from bench.evaluation import CountingClassifier, Forms, Passes
from bench.ops import norms
from bench.ops.waiting import wait_for

__all__ = [
    "Engine",
    "Stage",
    "exercise",
    "fast_engine",
    "measure",
    "predictions",
    "reference_engine",
    "stages_of",
    "trainable",
    "warm_forms",
]

TOLERANCE = 1 + 1e-5
Stage = ApgdCe | ApgdT | FabT | Square | ConstraintRelaxation


@dataclass
class Engine:
    """One engine: how it searches, how its passes are counted, and what it has done so far.

    Args:
        search: from a stage and examples to the best points.
        passes: what was asked of the model since the start.
        robust: which examples it has not broken.
        claimed: breaks by stage that its search in bfloat16 claimed.
        rejected: those of them that did not hold in float32.
    """

    search: Callable[[Stage, Examples], Tensor]
    passes: Callable[[], Passes]
    robust: Tensor
    seconds: dict[str, float] = field(default_factory=dict)
    forwards: dict[str, int] = field(default_factory=dict)
    backwards: dict[str, int] = field(default_factory=dict)
    n_robust: dict[str, int] = field(default_factory=dict)
    claimed: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)


def measure(
    engine: Engine,
    stage: Stage,
    module: nn.Module,
    examples: Examples,
    threat_model: ThreatModel,
    options: argparse.Namespace,
) -> None:
    """Run one stage of one engine on what it has left, batch by batch, and enter time, passes and breaks."""
    clock = CLOCKS[options.clock]
    left = engine.robust.nonzero().squeeze(1)
    before = engine.passes()
    wait_for(examples.inputs.device)
    start = clock()
    found = [engine.search(stage, part) for part in examples[left].split(options.batch_size)]
    wait_for(examples.inputs.device)
    engine.seconds[stage.name] = clock() - start
    after = engine.passes()
    engine.forwards[stage.name] = after.forwards - before.forwards
    engine.backwards[stage.name] = after.backwards - before.backwards
    if found:
        points = torch.cat(found)
        distance = norms.size((points - examples.inputs[left]).double(), threat_model.norm)
        broken = predictions(module, points) != examples.labels[left]
        engine.robust[left[broken & (distance <= float(threat_model.epsilon) * TOLERANCE)]] = False
    engine.n_robust[stage.name] = int(engine.robust.sum())


def stages_of(options: argparse.Namespace) -> tuple[Stage, ...]:
    """AutoAttack's stages on our engine, as long as the options say."""
    return (
        ApgdCe(engine="fast", steps=options.steps),
        ApgdT(engine="fast", steps=options.steps),
        FabT(engine="fast", steps=options.steps),
        Square(engine="fast", queries=options.queries),
    )


def warm_forms(module: nn.Module, examples: Examples, options: argparse.Namespace) -> Forms:
    """The forms that our engine searches on, warmed up."""
    forms = Forms.of(module, examples.inputs, engine="fast", precision=options.precision)
    for form in (forms.exact, forms.low):
        if form is not None:
            exercise(form, examples, options)
    return forms


def fast_engine(forms: Forms, threat_model: ThreatModel, correct: Tensor) -> Engine:
    """Our engine, on the forms that the harness would give it."""

    def search(stage: Stage, examples: Examples) -> Tensor:
        searched = forms.search(stage, examples, threat_model, seed=0)
        if forms.low is not None:
            engine.claimed[stage.name] += int(searched.claimed.sum())
            engine.rejected[stage.name] += int(searched.rejected.sum())
        return searched.points

    engine = Engine(search=search, passes=lambda: forms.passes, robust=correct.clone())
    return engine


def reference_engine(counting: CountingClassifier, threat_model: ThreatModel, correct: Tensor) -> Engine:
    """The package, configured as its standard version configures it."""

    def search(stage: Stage, examples: Examples) -> Tensor:
        package = Package(
            counting,
            norm=str(threat_model.norm),
            eps=float(threat_model.epsilon),
            seed=0,
            device=examples.inputs.device,
        )
        if isinstance(stage, Square):
            package.square.n_queries = stage.queries
        else:
            package.apgd.n_iter = package.apgd_targeted.n_iter = package.fab.n_iter = stage.steps
        package.apgd.loss, package.fab.targeted, package.fab.n_restarts = "ce", True, 1
        attack = {
            "apgd-ce": package.apgd,
            "apgd-t": package.apgd_targeted,
            "fab-t": package.fab,
            "square": package.square,
        }[stage.name]
        with torch.no_grad():
            moved: Tensor = attack.perturb(examples.inputs.clone(), examples.labels.clone())
        return moved

    logging.getLogger("auto-attack").setLevel(logging.ERROR)
    return Engine(search=search, passes=lambda: counting.passes, robust=correct.clone())


def exercise(module: nn.Module, examples: Examples, options: argparse.Namespace) -> None:
    """Warm the model up: a few passes in both directions."""
    for _ in range(options.warm_up):
        leaf = examples.inputs[: options.batch_size].clone().requires_grad_()
        torch.autograd.grad(module(leaf).sum(), leaf)


def predictions(module: nn.Module, inputs: Tensor) -> Tensor:
    """The classes that the model gives `inputs`, `(N,)`."""
    with torch.no_grad():
        classes: Tensor = torch.cat([module(part).argmax(1) for part in torch.split(inputs, 64)])
    return classes


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
