"""What a training objective is: how it crafts inputs, what it minimises, and whether it moves the weights meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from bench.core.types import ThreatModel

__all__ = ["Batch", "Context", "Objective"]


class Batch(NamedTuple):
    """One minibatch.

    Attributes:
        inputs: augmented inputs `(N, C, H, W)`, in [0, 1].
        labels: int64 `(N,)`.
        adversarial: what the objective crafted from them, or `inputs` where it crafts nothing.
    """

    inputs: Tensor
    labels: Tensor
    adversarial: Tensor


@dataclass(kw_only=True)
class Context:
    """What an objective may look at besides the batch.

    Args:
        epoch: epochs done so far, with its fraction.
        epochs: epochs of the whole run.
        threat_model: what the training attacker may do.
        generator: this step's own source of randomness, on the model's device.
        teachers: frozen models in evaluation mode, by role.
        memory: numbers that an objective keeps between steps, on the model's device; saved with the snapshot.
    """

    epoch: float
    threat_model: ThreatModel
    generator: torch.Generator
    epochs: int = 1
    teachers: Mapping[str, nn.Module] = field(default_factory=dict)
    memory: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Objective:
    """Base of all objectives: nothing crafted, weights left where they are.

    Attributes:
        teacher_roles: the roles that a recipe has to fill with trained models.
        aims_at_robustness: whether the best epoch is the most robust one, or the most accurate.
    """

    teacher_roles: ClassVar[tuple[str, ...]] = ()
    aims_at_robustness: ClassVar[bool] = True

    def rates(self, model: nn.Module) -> dict[float, Iterable[nn.Parameter]]:
        """The parameters by the share of the schedule's learning rate that they are trained with."""
        return {1.0: model.parameters()}

    def warm_up(self, model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], context: Context) -> None:
        """Train what has to be trained before the first step, if anything.

        Args:
            model: the network that training starts with, in training mode.
            batches: augmented inputs and labels without end; each has its own draws in `context.generator`.
            context: as in the first step.
        """

    def craft(self, model: nn.Module, inputs: Tensor, labels: Tensor, context: Context) -> Tensor:
        """Return the inputs to train on besides the clean ones, `(N, C, H, W)`."""
        return inputs

    def eligible(self, epoch: int, epochs: int) -> bool:
        """Whether the weights after `epoch` (from 0) of `epochs` may be kept as the best ones."""
        return True

    def perturbed_weights(self, model: nn.Module, batch: Batch, context: Context) -> AbstractContextManager[None]:
        """Hold perturbed weights while the loss is computed and the step is taken."""
        return nullcontext()

    def loss(self, model: nn.Module, batch: Batch, context: Context) -> Tensor:
        """The scalar to minimise; `model` is in training mode."""
        raise NotImplementedError

    def measure(self, model: nn.Module, inputs: Tensor, labels: Tensor, context: Context) -> dict[str, int]:
        """On how many of some held-out examples what this objective teaches besides the classes is right, by name.

        Args:
            model: the network whose weights count.
            inputs: `(N, C, H, W)`, in [0, 1], nothing of it trained on.
            labels: int64 `(N,)`.
            context: with a generator that draws the same after every epoch.
        """
        return {}
