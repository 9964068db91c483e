"""How many epochs fit into a given time, by the pace of this machine."""

from __future__ import annotations

import copy
import itertools
import statistics
import time

from bench.core.errors import BenchError
from bench.training.averaging import Averaged
from bench.training.run import Run
from bench.training.step import Work, optimizer_of, step
from bench.training.validation import validated

__all__ = ["epochs_that_fit"]

# The first steps are unlike the others: networks are traced and algorithms chosen in them.
UNLIKE_STEPS = 2
TRIAL_SECONDS = 1.0
LATE = 0.9  # past all that begins late in training
USED_SHARE = 0.95


def epochs_that_fit(run: Run, work: Work, seconds: float, began: float) -> int:
    """How many epochs end within `seconds` of `began`, by the pace of some steps and a validation on a copy.

    Raises:
        BenchError: if not one does.
    """
    trial = Run(model=copy.deepcopy(run.model), identity={}, epochs=1, memory=dict(run.memory))
    if work.plan.ema is not None:
        trial.average = Averaged(trial.model, work.plan.ema)
    optimizer, context = optimizer_of(trial.model, work.plan), work.context(trial)
    context.epoch = LATE * context.epochs
    paces: list[float] = []
    for inputs, labels in itertools.chain.from_iterable(work.batches(0, context) for _ in itertools.count()):
        moment = time.monotonic()
        float(step(trial, work.plan, inputs, labels, optimizer, context))  # waits for the device
        paces.append(time.monotonic() - moment)
        if len(paces) > UNLIKE_STEPS + 1 and sum(paces[UNLIKE_STEPS:]) > TRIAL_SECONDS:
            break
    validations = []
    for _ in range(2):  # the first one traces the network
        moment = time.monotonic()
        validated(trial.kept, work.plan, work.data, work.threat_model)
        validations.append(time.monotonic() - moment)
    epoch = work.steps * statistics.mean(paces[UNLIKE_STEPS:]) + min(validations)
    left = USED_SHARE * (seconds - (time.monotonic() - began))
    if left < epoch:
        raise BenchError(
            f"Expected enough minutes for one epoch, but it takes about {epoch / 60:.2g} of them here and"
            f" {max(left, 0) / 60:.2g} are left after the start. Allow more --minutes, or choose a smaller --scale."
        )
    return int(left / epoch)
