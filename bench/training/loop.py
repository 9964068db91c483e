"""The training loop: one readable pass from data to the best checkpoint, resumable at any step.

A resumed run continues with the same draws (see `step`), and on the CPU ends with the same weights as an uninterrupted
one.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from bench.core.errors import BenchError, WorkFailedError
from bench.core.types import Examples, ThreatModel
from bench.ops.precision import autocast
from bench.training import snapshot
from bench.training.averaging import Averaged
from bench.training.pace import epochs_that_fit
from bench.training.recipe import Plan
from bench.training.run import EpochResult, Run, TrainingProgress, restore, state_of
from bench.training.step import Work, optimizer_of, step
from bench.training.validation import SplitData, validated

__all__ = ["train"]

SNAPSHOT_SECONDS = 180.0
SNAPSHOT_WORTH = 10
PROGRESS_SECONDS = 1.0


def train(
    run: Run,
    plan: Plan,
    examples: Examples,
    threat_model: ThreatModel,
    *,
    seed: int,
    device: torch.device,
    snapshot_path: Path,
    seconds: float | None = None,
    teachers: Mapping[str, nn.Module] | None = None,
    on_progress: Callable[[TrainingProgress], None] = lambda progress: None,
    on_epoch: Callable[[Run], None] = lambda run: None,
) -> Run:
    """Train `run.model` to the end of `plan`, from its snapshot where there is one.

    A step never waits for the device: losses are summed there, and looked at once a second.

    Args:
        run: a fresh run; filled from the snapshot.
        plan: what to do.
        examples: the training split; a keyed part is held out for selection.
        threat_model: of the training attacker.
        seed: of every draw.
        device: where to train; the model and all data are moved there.
        snapshot_path: where the state is kept, every few minutes and after each epoch (less often where writing it
            takes longer than a tenth of an epoch).
        seconds: train for as many epochs as fit, by a measured pace, instead of the plan's; a run that goes on from its
            snapshot keeps the number that it chose.
        teachers: frozen models by role.
        on_progress: called about once a second.
        on_epoch: called after each epoch.

    Returns:
        The finished run; `best` holds the weights of the epoch with the highest held-out robust accuracy
        (clean accuracy for objectives without an attack), `kept` the last ones.

    Raises:
        BenchError: if the examples are fewer than a batch, not one epoch fits, or the snapshot is another run's.
        WorkFailedError: if the loss is no longer finite, or the snapshot cannot be written.
    """
    began = time.monotonic()
    run.model.to(device).to(memory_format=torch.channels_last)
    if plan.ema is not None:
        run.average = Averaged(run.model, plan.ema)
    optimizer = optimizer_of(run.model, plan)
    work = Work(
        plan=plan,
        data=SplitData.of(examples, device),
        threat_model=threat_model,
        seed=seed,
        teachers=teachers or {},
    )
    if work.steps == 0:
        raise BenchError(
            f"Expected at least {plan.batch_size} examples to train on, one batch, but got {len(work.data.labels)}."
        )
    saver = _Saver(snapshot_path, run, optimizer)
    state = snapshot.read(snapshot_path, run.identity)
    with _convolutions_tried():
        if state is None:
            run.epochs = plan.epochs
            _warm_up(run, work)
            if seconds is not None:
                run.epochs = epochs_that_fit(run, work, seconds, began)
            saver.save()
        else:
            restore(run, optimizer, state)
        while run.epoch < run.epochs:
            _epoch(run, work, optimizer, saver, on_progress)
            _finish_epoch(run, work)
            saver.save_after_epoch()
            on_epoch(run)
    return run


@contextmanager
def _convolutions_tried() -> Iterator[None]:
    """Let cuDNN try each convolution's algorithms once: the shapes never change, so that it pays."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


class _Saver:
    """Writes the snapshot of a run, no more often than is worth it unless told to."""

    def __init__(self, path: Path, run: Run, optimizer: torch.optim.Optimizer) -> None:
        self._path, self._run, self._optimizer = path, run, optimizer
        self._last, self._cost = time.monotonic(), 0.0

    def save(self) -> None:
        began = time.monotonic()
        snapshot.write(self._path, self._run.identity, state_of(self._run, self._optimizer))
        self._last = time.monotonic()
        self._cost = self._last - began

    def due(self) -> bool:
        return time.monotonic() - self._last > SNAPSHOT_SECONDS

    def save_after_epoch(self) -> None:
        if self._run.epoch == self._run.epochs or time.monotonic() - self._last > SNAPSHOT_WORTH * self._cost:
            self.save()


def _warm_up(run: Run, work: Work) -> None:
    """What the objective trains before the first step; a run that dies meanwhile begins again, and does the same."""
    began = time.monotonic()
    context = work.context(run)
    epochs = itertools.count(-1, -1)  # draws of its own
    batches = itertools.chain.from_iterable(work.batches(epoch, context) for epoch in epochs)
    with autocast(work.data.labels.device):
        work.plan.objective.warm_up(run.model.train(), batches, context)
    run.seconds += time.monotonic() - began


def _epoch(
    run: Run,
    work: Work,
    optimizer: torch.optim.Optimizer,
    saver: _Saver,
    on_progress: Callable[[TrainingProgress], None],
) -> None:
    """Run what is left of the epoch that `run` is in."""
    context = work.context(run)
    moment = shown = began = time.monotonic()
    first = run.step
    for inputs, labels in work.batches(run.epoch, context, run.step):
        context.epoch = run.epoch + run.step / work.steps
        run.loss_sum = run.loss_sum + step(run, work.plan, inputs, labels, optimizer, context)
        run.step += 1
        last = run.step == work.steps
        if last or saver.due() or time.monotonic() - shown > PROGRESS_SECONDS:
            loss = _finite_loss(run)
            now = time.monotonic()
            run.seconds += now - moment
            shown = moment = now
            on_progress(_progress(run, work, loss, (run.step - first) * work.plan.batch_size / (now - began)))
            if not last and saver.due():
                saver.save()
                moment = time.monotonic()


def _finite_loss(run: Run) -> float:
    """The mean loss of the epoch so far; waits for the device.

    Raises:
        WorkFailedError: if it is not finite.
    """
    value = float(run.loss_sum) / run.step
    if not math.isfinite(value):
        raise WorkFailedError(
            f"The loss became {value} in epoch {run.epoch + 1}, by step {run.step}."
            " The snapshot holds the last good state; lower the learning rate and run again."
        )
    return value


def _finish_epoch(run: Run, work: Work) -> None:
    """Validate, keep the best weights, and move on to the next epoch."""
    found = validated(run.kept, work.plan, work.data, work.threat_model)
    run.history.append(
        EpochResult(
            epoch=run.epoch,
            loss=_finite_loss(run),
            clean=found.clean,
            robust=found.robust,
            images_per_second=run.step * work.plan.batch_size * (run.epoch + 1) / run.seconds,
            seconds=run.seconds,
            measured=found.measured,
        )
    )
    if _is_best(run, work.plan):
        run.best_epoch = run.epoch
        run.best = {name: value.detach().cpu().clone() for name, value in run.kept.state_dict().items()}
    run.epoch, run.step, run.loss_sum = run.epoch + 1, 0, torch.zeros_like(run.loss_sum)


def _is_best(run: Run, plan: Plan) -> bool:
    """Whether the epoch just finished is the best so far; any is better than one that may not be kept."""
    if run.best_epoch < 0 or not plan.objective.eligible(run.best_epoch, run.epochs):
        return True
    robust_first = plan.objective.aims_at_robustness
    return _merit(run.history[-1], robust_first) >= _merit(run.history[run.best_epoch], robust_first)


def _merit(result: EpochResult, robust_first: bool) -> tuple[float, float]:
    return (result.robust, result.clean) if robust_first else (result.clean, result.robust)


def _progress(run: Run, work: Work, loss: float, speed: float) -> TrainingProgress:
    left = (run.epochs - run.epoch) * work.steps - run.step
    return TrainingProgress(
        epoch=run.epoch,
        epochs=run.epochs,
        step=run.step,
        steps=work.steps,
        loss=loss,
        images_per_second=speed,
        eta_seconds=left * work.plan.batch_size / speed,
    )
