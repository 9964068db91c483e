"""A recipe: what to train, at which scales, and what differs from the paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.core.errors import UnknownNameError
from bench.training.objectives.objective import Objective
from bench.training.schedule import LearningRate

__all__ = ["Augmentation", "Plan", "Recipe", "model_name"]

SUFFIXES = {"medium": "-r18"}


def model_name(recipe: str, scale: str) -> str:
    """What the model is called that a recipe makes at that scale: full-width ones stand beside the others.

    >>> model_name("pgd-at", "small"), model_name("pgd-at", "medium")
    ('pgd-at', 'pgd-at-r18')
    """
    return recipe + SUFFIXES.get(scale, "")


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
        starts_from: the recipe whose trained weights, at the same scale, the network starts with, or None for random
            ones; the architecture translates them.
        differences: what differs from the published recipe, one sentence each.
    """

    architecture: str
    arguments: Mapping[str, object]
    objective: Objective
    epochs: int
    schedule: LearningRate
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
        name: name of the recipe; that of the model that it makes follows, see `model_name`.
        title: one line for listings.
        paper: source of the method.
        scales: plans by scale: `paper` (as published), `medium` (full width in minutes of a GPU), `small` (two CPU
            cores), `tiny` (digits).
        teachers: recipes by the objective's teacher roles, each trained at the same scale.
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
