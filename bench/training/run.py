"""What a training run has at any moment: what a snapshot keeps, and what is shown of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from bench.training.averaging import Averaged

__all__ = ["EpochResult", "Run", "TrainingProgress", "restore", "state_of"]


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """One finished epoch: mean loss, held-out accuracies (fractions), images per second, seconds so far.

    `measured` holds what the objective measures besides, as fractions of the first `MEASURED` held-out examples.
    """

    epoch: int
    loss: float
    clean: float
    robust: float
    images_per_second: float
    seconds: float
    measured: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class TrainingProgress:
    """Where a run is: epoch and step in it, loss, speed, and seconds to go."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    images_per_second: float
    eta_seconds: float


@dataclass(kw_only=True)
class Run:
    """What a training run has at any moment, and what it ends with.

    Args:
        model: the network that is trained.
        identity: what a snapshot must match to continue this run.
        epochs: how many there will be in all; `train` sets it.
    """

    model: nn.Module
    identity: Mapping[str, str]
    epochs: int = 0
    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    loss_sum: Tensor = field(default_factory=lambda: torch.zeros(()))
    memory: dict[str, Tensor] = field(default_factory=dict)
    history: list[EpochResult] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_epoch: int = -1
    average: Averaged | None = None

    @property
    def kept(self) -> nn.Module:
        """The network whose weights count: the averaged one where there is one."""
        return self.model if self.average is None else self.average.module


def state_of(run: Run, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """What a snapshot keeps: tensors and plain values."""
    return {
        "model": run.model.state_dict(),
        "average": None if run.average is None else run.average.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epochs": run.epochs,
        "epoch": run.epoch,
        "step": run.step,
        "seconds": run.seconds,
        "loss_sum": run.loss_sum,
        "memory": run.memory,
        "history": [vars(result) for result in run.history],
        "best": run.best,
        "best_epoch": run.best_epoch,
    }


def restore(run: Run, optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Fill a fresh run and its optimiser from what `state_of` gave."""
    run.model.load_state_dict(state["model"])
    if run.average is not None:
        run.average.load_state_dict(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    for name in ("epochs", "epoch", "step", "seconds", "loss_sum", "best", "best_epoch"):
        setattr(run, name, state[name])
    device = next(run.model.parameters()).device
    run.memory = {name: value.to(device) for name, value in state["memory"].items()}
    run.history = [EpochResult(**result) for result in state["history"]]
