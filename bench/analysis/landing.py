"""Where the adversarial examples of a model with dummy classes land among its raw classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from bench.core.structure import DummyClasses
from bench.core.types import Attack, Examples, ThreatModel
from bench.evaluation import CHUNK_SIZE

__all__ = ["PLACES", "landing", "place_of"]

PLACES = ("true class", "its dummy", "another class", "another's dummy")


def place_of(raw: Tensor, labels: Tensor) -> Tensor:
    """Which of `PLACES` the largest of raw logits `(N, 2C)` is in, for labels `(N,)`: int64 `(N,)`."""
    classes = raw.shape[1] // 2
    answer = raw.argmax(dim=1)
    dummy, other = answer >= classes, answer % classes != labels
    return dummy.long() + 2 * other.long()


def landing(
    module: nn.Module, examples: Examples, threat_model: ThreatModel, attacks: Sequence[Attack], *, seed: int
) -> dict[str, list[int]]:
    """How many examples land in each of `PLACES`: clean, and under each attack by its name.

    Args:
        module: it declares dummy classes.
        examples: on its device.
        threat_model: what the attacks may do.
        attacks: any.
        seed: of their draws.
    """
    model = cast(DummyClasses, module)
    counts = {name: [0] * len(PLACES) for name in ("clean", *(attack.name for attack in attacks))}
    for part in examples.split(CHUNK_SIZE):
        points = {"clean": part.inputs}
        for attack in attacks:
            points[attack.name] = attack.perturb(module, part, threat_model, seed=seed)
        for name, inputs in points.items():
            with torch.no_grad():
                places = place_of(model.raw(inputs), part.labels)
            counts[name] = [count + int((places == place).sum()) for place, count in enumerate(counts[name])]
    return counts
