"""A recipe: what to train, at which scales, and what differs from the paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.core.errors import UnknownNameError
from bench.training.objectives.objective import Objective
from bench.training.schedule import Schedule

__all__ = ["Augmentation", "Plan", "Recipe"]


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random crop of the zero-padded image and horizontal flip.

    Args:
        padding: pixels of padding on each side.
        flip: whether to mirror half of the images.
    """

    padding: int = 4
    flip: bool = True


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One scale of a recipe, complete.

    Args:
        architecture: name of the architecture.
        arguments: its arguments besides `num_classes` and `in_channels`.
        objective: what is minimised.
        epochs: passes over the training split less the held-out part.
        schedule: learning rate over time.
        batch_size: examples per step; the last, smaller batch of an epoch is dropped.
        momentum: of SGD.
        weight_decay: L2 penalty on all parameters.
        gradient_norm: largest norm of the gradient over all parameters, or None for no limit.
        ema: decay per step of the averaged weights that are kept, or None to keep the raw ones.
        augmentation: of the training inputs.
        starts_from: the model whose trained weights the network starts with, or None for random ones;
            the architecture translates them.
        differences: what differs from the published recipe, one sentence each.
    """

    architecture: str
    arguments: Mapping[str, object]
    objective: Objective
    epochs: int
    schedule: Schedule
    batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4
    gradient_norm: float | None = None
    ema: float | None = None
    augmentation: Augmentation = field(default_factory=Augmentation)
    starts_from: str | None = None
    differences: tuple[str, ...] = field(default=(), repr=False)  # words: the same training under other words goes on


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How one kind of model is trained.

    Args:
        name: name of the recipe and of the model that it makes.
        title: one line for listings.
        paper: source of the method.
        scales: plans by scale: `paper` (as published), `small` (two CPU cores), `tiny` (digits).
        teachers: model names by the objective's teacher roles.
    """

    name: str
    title: str
    paper: str
    scales: Mapping[str, Plan]
    teachers: Mapping[str, str] = field(default_factory=dict)

    def plan(self, scale: str) -> Plan:
        """The plan at `scale`.

        Raises:
            UnknownNameError: if the recipe has no such scale.
        """
        if scale not in self.scales:
            raise UnknownNameError(f"scale of recipe {self.name}", scale, self.scales)
        return self.scales[scale]
