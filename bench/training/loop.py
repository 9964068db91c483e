"""The training loop: one readable pass from data to the best checkpoint, resumable at any step.

Every random draw of a step comes from a generator seeded by (seed, epoch, step), so a resumed run needs no random
state: it continues with the same draws, and on the CPU ends with the same weights as an uninterrupted one.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from bench.core import digest
from bench.core.errors import WorkFailedError
from bench.core.types import Examples, ThreatModel
from bench.training import snapshot
from bench.training.augment import crop_and_flip
from bench.training.averaging import averaged
from bench.training.held_out import SplitData
from bench.training.objectives.objective import Batch, Context
from bench.training.recipe import Plan
from bench.training.validation import accuracies

__all__ = ["MEASURED", "EpochResult", "Progress", "Run", "optimizer_of", "step", "train"]

MEASURED = 250
SNAPSHOT_SECONDS = 180.0
PROGRESS_SECONDS = 1.0


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
class Progress:
    """Where a run is: epoch and step in it, loss, speed, seconds to go, and the last finished epoch."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    images_per_second: float
    eta_seconds: float
    latest: EpochResult | None


@dataclass(kw_only=True)
class Run:
    """What a training run has at any moment, and what it ends with.

    Args:
        model: the network that is trained.
        identity: what a snapshot must match to continue this run.
    """

    model: nn.Module
    identity: Mapping[str, str]
    epoch: int = 0
    step: int = 0
    seconds: float = 0.0
    loss_sum: float = 0.0
    memory: dict[str, float] = field(default_factory=dict)
    history: list[EpochResult] = field(default_factory=list)
    best: dict[str, Tensor] = field(default_factory=dict)
    best_epoch: int = -1
    average: AveragedModel | None = None

    @property
    def kept(self) -> nn.Module:
        """The network whose weights count: the averaged one where there is one."""
        return self.model if self.average is None else self.average.module


def train(
    run: Run,
    plan: Plan,
    examples: Examples,
    threat_model: ThreatModel,
    *,
    seed: int,
    device: torch.device,
    snapshot_path: Path,
    teachers: Mapping[str, nn.Module] | None = None,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_epoch: Callable[[Run], None] = lambda run: None,
) -> Run:
    """Train `run.model` to the end of `plan`, from its snapshot where there is one.

    Args:
        run: a fresh run; filled from the snapshot.
        plan: what to do.
        examples: the training split; a keyed part is held out for selection.
        threat_model: of the training attacker.
        seed: of every draw.
        device: where to train; the model and all data are moved there.
        snapshot_path: where the state is kept, every few minutes and after each epoch.
        teachers: frozen models by role.
        on_progress: called about once a second.
        on_epoch: called after each epoch.

    Returns:
        The finished run; `best` holds the weights of the epoch with the highest held-out robust accuracy
        (clean accuracy for objectives without an attack), `kept` the last ones.

    Raises:
        WorkFailedError: if the loss is no longer finite, or the snapshot cannot be written.
    """
    run.model.to(device).to(memory_format=torch.channels_last)
    if plan.ema is not None:
        run.average = averaged(run.model, plan.ema)
    optimizer = optimizer_of(run.model, plan)
    data = SplitData.of(examples, device)
    state = snapshot.read(snapshot_path, run.identity)

    def new_context() -> Context:
        return Context(
            epoch=0.0,
            epochs=plan.epochs,
            threat_model=threat_model,
            generator=torch.Generator(device),
            teachers=teachers or {},
            memory=run.memory,
        )

    saver = _Saver(snapshot_path, run, optimizer)
    if state is None:
        _warm_up(run, plan, data, new_context(), seed)
        saver.save()
    else:
        _restore(run, optimizer, state)
    while run.epoch < plan.epochs:
        _epoch(run, plan, data, optimizer, new_context(), seed, saver, on_progress)
        _finish_epoch(run, plan, data, new_context())
        saver.save()
        on_epoch(run)
    return run


def optimizer_of(model: nn.Module, plan: Plan) -> torch.optim.SGD:
    """The optimiser of `plan`; `step` sets its rates."""
    groups = [{"params": list(part), "share": share} for share, part in plan.objective.rates(model).items()]
    return torch.optim.SGD(groups, lr=0.0, momentum=plan.momentum, weight_decay=plan.weight_decay)


class _Saver:
    """Writes the snapshot of a run, at most every few minutes unless told to."""

    def __init__(self, path: Path, run: Run, optimizer: torch.optim.Optimizer) -> None:
        self._path, self._run, self._optimizer = path, run, optimizer
        self._last = time.monotonic()

    def save(self) -> None:
        snapshot.write(self._path, self._run.identity, _state(self._run, self._optimizer))
        self._last = time.monotonic()

    def save_if_due(self) -> None:
        if time.monotonic() - self._last > SNAPSHOT_SECONDS:
            self.save()


def _warm_up(run: Run, plan: Plan, data: SplitData, context: Context, seed: int) -> None:
    """What the objective trains before the first step; a run that dies meanwhile begins again, and does the same."""

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for epoch in itertools.count(-1, -1):  # draws of its own
            order = _order(data, seed, epoch)
            for number in range(len(order) // plan.batch_size):
                chosen = order[number * plan.batch_size : (number + 1) * plan.batch_size]
                context.generator = _generator(order.device, seed, epoch, number)
                yield _augmented(plan, data.inputs[chosen], context.generator), data.labels[chosen]

    began = time.monotonic()
    with torch.autocast(data.labels.device.type, torch.bfloat16):
        plan.objective.warm_up(run.model.train(), batches(), context)
    run.seconds += time.monotonic() - began


def _epoch(
    run: Run,
    plan: Plan,
    data: SplitData,
    optimizer: torch.optim.Optimizer,
    context: Context,
    seed: int,
    saver: _Saver,
    on_progress: Callable[[Progress], None],
) -> None:
    """Run what is left of the epoch that `run` is in."""
    steps = len(data.labels) // plan.batch_size
    order = _order(data, seed, run.epoch)
    shown = began = time.monotonic()
    first = run.step
    while run.step < steps:
        moment = time.monotonic()
        chosen = order[run.step * plan.batch_size : (run.step + 1) * plan.batch_size]
        context.epoch = run.epoch + run.step / steps
        context.generator = _generator(data.labels.device, seed, run.epoch, run.step)
        run.loss_sum += step(run, plan, data.inputs[chosen], data.labels[chosen], optimizer, context)
        run.step += 1
        now = time.monotonic()
        run.seconds += now - moment
        if now - shown > PROGRESS_SECONDS:
            shown = now
            speed = (run.step - first) * plan.batch_size / (now - began)
            on_progress(_progress(run, plan, steps, speed))
        saver.save_if_due()


def step(
    run: Run, plan: Plan, inputs: Tensor, labels: Tensor, optimizer: torch.optim.Optimizer, context: Context
) -> float:
    """One optimiser step; returns the loss."""
    inputs = _augmented(plan, inputs, context.generator)
    for group in optimizer.param_groups:
        group["lr"] = group["share"] * plan.schedule.at(context.epoch, plan.epochs)
    model = run.model.train()
    with torch.autocast(inputs.device.type, torch.bfloat16):
        batch = Batch(inputs, labels, plan.objective.craft(model, inputs, labels, context))
        with plan.objective.perturbed_weights(model, batch, context):
            loss = plan.objective.loss(model, batch, context)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            if plan.gradient_norm is not None:
                nn.utils.clip_grad_norm_(model.parameters(), plan.gradient_norm)
            optimizer.step()
    value = float(loss.detach())
    if not math.isfinite(value):
        raise WorkFailedError(
            f"The loss became {value} in epoch {run.epoch + 1}, step {run.step + 1}."
            " The snapshot holds the last good state; lower the learning rate and run again."
        )
    if run.average is not None:
        run.average.update_parameters(model)
    return value


def _augmented(plan: Plan, inputs: Tensor, generator: torch.Generator) -> Tensor:
    augmentation = plan.augmentation
    inputs = crop_and_flip(inputs, generator, padding=augmentation.padding, flip=augmentation.flip)
    return inputs.contiguous(memory_format=torch.channels_last)


def _finish_epoch(run: Run, plan: Plan, data: SplitData, context: Context) -> None:
    """Validate, keep the best weights, and move on to the next epoch."""
    with torch.autocast(data.labels.device.type, torch.bfloat16):
        clean, robust = accuracies(run.kept, data.held_inputs, data.held_labels, context.threat_model)
        measured = _measured(run, plan, data, context)
    run.history.append(
        EpochResult(
            epoch=run.epoch,
            loss=run.loss_sum / run.step,
            clean=clean,
            robust=robust,
            images_per_second=run.step * plan.batch_size * (run.epoch + 1) / run.seconds,
            seconds=run.seconds,
            measured=measured,
        )
    )
    if _is_best(run, plan):
        run.best_epoch = run.epoch
        run.best = {name: value.detach().cpu().clone() for name, value in run.kept.state_dict().items()}
    run.epoch, run.step, run.loss_sum = run.epoch + 1, 0, 0.0


def _measured(run: Run, plan: Plan, data: SplitData, context: Context) -> dict[str, float]:
    """What the objective measures of the weights that count, with the same draws after every epoch."""
    inputs, labels = data.held_inputs[:MEASURED], data.held_labels[:MEASURED]
    context.generator = _generator(inputs.device, 0, -1, -1)
    found = plan.objective.measure(run.kept, inputs, labels, context)
    return {name: count / len(labels) for name, count in found.items()}


def _is_best(run: Run, plan: Plan) -> bool:
    """Whether the epoch just finished is the best so far; any is better than one that may not be kept."""
    if run.best_epoch < 0 or not plan.objective.eligible(run.best_epoch, plan.epochs):
        return True
    robust_first = plan.objective.aims_at_robustness
    return _merit(run.history[-1], robust_first) >= _merit(run.history[run.best_epoch], robust_first)


def _merit(result: EpochResult, robust_first: bool) -> tuple[float, float]:
    return (result.robust, result.clean) if robust_first else (result.clean, result.robust)


def _progress(run: Run, plan: Plan, steps: int, speed: float) -> Progress:
    left = (plan.epochs - run.epoch) * steps - run.step
    return Progress(
        epoch=run.epoch,
        epochs=plan.epochs,
        step=run.step,
        steps=steps,
        loss=run.loss_sum / run.step,
        images_per_second=speed,
        eta_seconds=left * plan.batch_size / speed,
        latest=run.history[-1] if run.history else None,
    )


def _order(data: SplitData, seed: int, epoch: int) -> Tensor:
    """The order of the training examples in that epoch, int64 `(N,)`."""
    generator = _generator(torch.device("cpu"), seed, epoch, -1)
    return torch.randperm(len(data.labels), generator=generator).to(data.labels.device)


def _generator(device: torch.device, seed: int, epoch: int, step: int) -> torch.Generator:
    name = digest.of_json([seed, epoch, step])
    return torch.Generator(device).manual_seed(int(name[:15], 16))


def _state(run: Run, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    return {
        "model": run.model.state_dict(),
        "average": None if run.average is None else run.average.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": run.epoch,
        "step": run.step,
        "seconds": run.seconds,
        "loss_sum": run.loss_sum,
        "memory": run.memory,
        "history": [vars(result) for result in run.history],
        "best": run.best,
        "best_epoch": run.best_epoch,
    }


def _restore(run: Run, optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    run.model.load_state_dict(state["model"])
    if run.average is not None:
        run.average.load_state_dict(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    for name in ("epoch", "step", "seconds", "loss_sum", "memory", "best", "best_epoch"):
        setattr(run, name, state[name])
    run.history = [EpochResult(**result) for result in state["history"]]
