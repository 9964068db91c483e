"""The set that a harness is held to: models whose robust accuracy is known, each with how it is known.

Closed forms are exact. A trap or an honest model of the zoo is worth what an attack leaves that knows how it is built
(`bench.diagnostics.withstand`). ResNet-4B of the VNN-COMP 2021 benchmark was trained and measured by others; its
weights are theirs, so they are looked for in a folder that the user names.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from bench import data, models
from bench.core.errors import BenchError
from bench.core.types import Examples, ThreatModel
from bench.data import Dataset
from bench.diagnostics import TRAPS, Trap, is_wrong, predict, withstand
from bench.evaluation import device_of, guarded
from bench.jobs import closed_forms
from bench.models import read_weights

__all__ = ["CLOSED_FORM", "PUBLISHED", "KnownAnswer", "Model", "ResNet4B", "Truth", "known_answers"]

CLOSED_FORM, PUBLISHED = "closed form", "published"
BASE = "pgd-at"
"""The digits network that the zoo is built around."""
SURROGATES = ("trades", "standard")
EASY = ThreatModel.parse("Linf:1/5")
"""Where attacks break most of that network, so that what a trap hides is much."""
_BUILT_ON = 64
"""Examples that a trap is made with, at least: all classes occur in them."""
_ROUNDING = 1e-5
"""Margins below it are decided by float32."""


class Truth(NamedTuple):
    """Of how many examples are correct, and how many of these are robust: at least, and at most."""

    clean: int
    least: int
    most: int


@dataclass(frozen=True, kw_only=True)
class Model:
    """What a harness is given.

    Args:
        module: in eval mode.
        examples: all that it is scored on.
        num_classes: of its logits.
        truth: works out what is true.
        surrogates: other models of the same data, for transfer.
    """

    module: nn.Module
    examples: Examples
    num_classes: int
    truth: Callable[[], Truth]
    surrogates: Sequence[nn.Module] = ()


@dataclass(frozen=True, kw_only=True)
class KnownAnswer:
    """One model of the set.

    Args:
        name: of its own.
        kind: a trap's, `CLOSED_FORM` or `PUBLISHED`.
        threat_model: what the attacker may do.
        build: makes it, the same each time.
    """

    name: str
    kind: str
    threat_model: ThreatModel
    build: Callable[[], Model]


def known_answers(*, samples: int, folder: Path | None = None, data_dir: Path | None = None) -> tuple[KnownAnswer, ...]:
    """The whole set.

    Args:
        samples: how many examples of digits each model has; closed forms of hidden units have half.
        folder: where what others published lies; None leaves it out.
        data_dir: where CIFAR-10 is looked up first, for what was published on it.

    Raises:
        BenchError: if `folder` does not hold it, or there are not so many examples.
    """
    digits = data.load("digits", data_dir=data_dir)
    examples = data.select(digits, samples=samples)
    found = [*_closed_forms(samples), *(_of_zoo(trap, digits, examples) for trap in TRAPS)]
    return (*(_published(folder, data_dir) if folder is not None else ()), *found)


def _closed_forms(samples: int) -> tuple[KnownAnswer, ...]:
    def linear(threat_model: str, *classes: int) -> KnownAnswer:
        attacker = ThreatModel.parse(threat_model)
        how = f"{len(classes)} classes, {attacker.norm}" if classes else f"10 classes, {attacker.norm}"
        build = functools.partial(_linear, attacker, classes or tuple(range(10)), samples)
        return KnownAnswer(name=f"linear, {how}", kind=CLOSED_FORM, threat_model=attacker, build=build)

    attacker = ThreatModel.parse("Linf:1/20")
    hidden = functools.partial(_hidden, attacker, (0, 1, 2), max(1, samples // 2))
    return (
        linear("Linf:1/20"),
        linear("L2:1/4"),
        linear("Linf:1/10", 3, 8),
        KnownAnswer(name="six ReLUs, 3 classes, Linf", kind=CLOSED_FORM, threat_model=attacker, build=hidden),
    )


def _linear(attacker: ThreatModel, classes: tuple[int, ...], samples: int) -> Model:
    examples = _only(classes, "test")[:samples]
    net = closed_forms.linear_net(_only(classes, "train"), len(classes))
    exact = functools.partial(closed_forms.linear_margins, net, examples, attacker)
    return Model(
        module=net, examples=examples, num_classes=len(classes), truth=functools.partial(_exact, net, examples, exact)
    )


def _hidden(attacker: ThreatModel, classes: tuple[int, ...], samples: int) -> Model:
    examples = _only(classes, "test")[:samples]
    net = closed_forms.hidden_net(_only(classes, "train"), len(classes), hidden=6)
    exact = functools.partial(closed_forms.hidden_margins, net, examples, attacker)
    return Model(
        module=net, examples=examples, num_classes=len(classes), truth=functools.partial(_exact, net, examples, exact)
    )


def _only(classes: tuple[int, ...], split: data.Split) -> Examples:
    """The digits of some classes, which are numbered anew."""
    examples = data.load("digits", split=split).examples
    places = torch.tensor([classes.index(label) if label in classes else -1 for label in examples.labels.tolist()])
    return replace(examples, labels=places)[(places >= 0).nonzero().squeeze(1)]


def _exact(net: nn.Module, examples: Examples, margins: Callable[[], closed_forms.Array]) -> Truth:
    found = margins()
    return Truth(
        clean=_n_correct(net, examples),
        least=int(np.sum(found > _ROUNDING)),
        most=int(np.sum(found > -_ROUNDING)),
    )


def _of_zoo(trap: Trap, digits: Dataset, examples: Examples) -> KnownAnswer:
    def build() -> Model:
        base, *others = (models.load(name, dataset=digits).module for name in (BASE, *SURROGATES))
        module = trap.build(base, _copy(digits.examples[: max(len(examples), _BUILT_ON)])).eval()

        def truth() -> Truth:
            with guarded(module, device_of(module)):
                left = withstand(trap, module, base, _copy(examples), EASY)
                scored = base if trap.remembers else module
                few = [_n_correct(scored, _copy(part)) for part in examples.split(8)]
            return Truth(clean=sum(few), least=0, most=int(left.sum()))

        return Model(module=module, examples=_copy(examples), num_classes=10, truth=truth, surrogates=others)

    return KnownAnswer(name=trap.name, kind=trap.kind, threat_model=EASY, build=build)


def _copy(examples: Examples) -> Examples:
    """Some traps change what they are given."""
    return replace(examples, inputs=examples.inputs.clone())


def _n_correct(module: nn.Module, examples: Examples) -> int:
    return int((~is_wrong(predict(module, examples.inputs), examples.labels)).sum())


class _Block(nn.Module):
    """Two convolutions around a shortcut, no batch norm."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1)
        self.shortcut = nn.Sequential() if stride == 1 else nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return features `(N, channels, H / stride, W / stride)`."""
        return torch.relu(self.conv2(torch.relu(self.conv1(inputs))) + self.shortcut(inputs))


class ResNet4B(nn.Module):
    """ResNet-4B of VNN-COMP 2021: a stem, two layers of two blocks, two linear layers; normalisation is inside.

    The source is its authors' description beside the weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        # Not persistent: the published weights know nothing of them.
        self.register_buffer("mean", torch.tensor((0.4914, 0.4822, 0.4465)).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor((0.2471, 0.2435, 0.2616)).view(3, 1, 1), persistent=False)
        self.conv1 = nn.Conv2d(3, 16, 3, 2, 1)
        self.layer1 = nn.Sequential(_Block(16, 32, 2), _Block(32, 32, 1))
        self.layer2 = nn.Sequential(_Block(32, 32, 2), _Block(32, 32, 1))
        self.linear1 = nn.Linear(512, 100)
        self.linear2 = nn.Linear(100, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits `(N, 10)` of inputs `(N, 3, 32, 32)`."""
        stem = torch.relu(self.conv1((inputs - self.mean) / self.std))
        features = self.layer2(self.layer1(stem)).flatten(1)  # (N, 512)
        logits: Tensor = self.linear2(torch.relu(self.linear1(features)))
        return logits


_RESNET_4B = {"Linf:2/255": Truth(7720, 24, 6141), "Linf:1/255": Truth(7720, 2328, 6975)}
"""Of the 10,000 test images: clean, certified by CROWN, and left by its authors' PGD."""


def _published(folder: Path, data_dir: Path | None) -> tuple[KnownAnswer, ...]:
    path = folder / "resnet4b" / "resnet4b.pth"
    if not path.is_file():
        raise BenchError(f"Expected the published weights in {path}, but there is no such file: see --known-answers.")
    cifar10 = data.load("cifar10", data_dir=data_dir)
    if cifar10.notice is not None:
        raise BenchError(f"The published numbers are of all images of cifar10, but here is a sample: {cifar10.notice}")

    def build(truth: Truth) -> Model:
        net = ResNet4B()
        try:
            net.load_state_dict(read_weights(path))
        except RuntimeError as error:
            raise BenchError(f"The weights in {path} are not those of ResNet-4B.") from error
        others = [models.load(name, dataset=cifar10).module for name in (BASE, *SURROGATES)]
        return Model(
            module=net.eval().requires_grad_(False),
            examples=cifar10.examples,
            num_classes=10,
            truth=lambda: truth,
            surrogates=others,
        )

    return tuple(
        KnownAnswer(
            name=f"ResNet-4B, {threat_model}",
            kind=PUBLISHED,
            threat_model=ThreatModel.parse(threat_model),
            build=functools.partial(build, truth),
        )
        for threat_model, truth in _RESNET_4B.items()
    )
