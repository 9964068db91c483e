"""One step of training, and what all steps of a run have in common.

Every random draw of a step comes from a generator seeded by (seed, epoch, step), so a resumed run needs no random
state. A step never waits for the device.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.core import digest
from bench.core.types import ThreatModel
from bench.ops.precision import autocast
from bench.training.augment import crop_and_flip
from bench.training.objectives.objective import Batch, Context
from bench.training.recipe import Plan
from bench.training.run import Run
from bench.training.validation import SplitData

__all__ = ["Work", "augmented", "generator_of", "optimizer_of", "step"]


@dataclass(frozen=True, kw_only=True)
class Work:
    """What all steps of a run have in common."""

    plan: Plan
    data: SplitData
    threat_model: ThreatModel
    seed: int
    teachers: Mapping[str, nn.Module]

    @property
    def steps(self) -> int:
        """How many steps an epoch has."""
        return len(self.data.labels) // self.plan.batch_size

    def context(self, run: Run) -> Context:
        """What an objective may look at in `run`."""
        return Context(
            epoch=0.0,
            epochs=run.epochs,
            threat_model=self.threat_model,
            generator=torch.Generator(self.data.labels.device),
            teachers=self.teachers,
            memory=run.memory,
        )

    def batches(self, epoch: int, context: Context, first: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of an epoch, augmented, from the one numbered `first` on; the generator is set for each."""
        device, size = self.data.labels.device, self.plan.batch_size
        shuffled = generator_of(torch.device("cpu"), self.seed, epoch, -1)
        order = torch.randperm(len(self.data.labels), generator=shuffled).to(device)
        for number in range(first, self.steps):
            chosen = order[number * size : (number + 1) * size]
            context.generator = generator_of(device, self.seed, epoch, number)
            inputs = augmented(self.plan, self.data.inputs[chosen], context.generator)
            yield inputs, self.data.labels[chosen]


def optimizer_of(model: nn.Module, plan: Plan) -> torch.optim.SGD:
    """The optimiser of `plan`; `step` sets its rates."""
    groups = [{"params": list(part), "share": share} for share, part in plan.objective.rates(model).items()]
    return torch.optim.SGD(groups, lr=0.0, momentum=plan.momentum, weight_decay=plan.weight_decay)


def step(
    run: Run, plan: Plan, inputs: Tensor, labels: Tensor, optimizer: torch.optim.Optimizer, context: Context
) -> Tensor:
    """One optimiser step on augmented inputs; returns the loss, on the device."""
    for group in optimizer.param_groups:
        group["lr"] = group["share"] * plan.schedule.at(context.epoch, context.epochs)
    model = run.model.train()
    with autocast(inputs.device):
        batch = Batch(inputs, labels, plan.objective.craft(model, inputs, labels, context))
        with plan.objective.perturbed_weights(model, batch, context):
            loss = plan.objective.loss(model, batch, context)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            if plan.gradient_norm is not None:
                nn.utils.clip_grad_norm_(model.parameters(), plan.gradient_norm)
            optimizer.step()
    if run.average is not None:
        run.average.update(model)
    return loss.detach()


def augmented(plan: Plan, inputs: Tensor, generator: torch.Generator) -> Tensor:
    """`inputs` `(N, C, H, W)` as the plan moves and mirrors them, in the memory format that convolutions want."""
    augmentation = plan.augmentation
    inputs = crop_and_flip(inputs, generator, padding=augmentation.padding, flip=augmentation.flip)
    return inputs.contiguous(memory_format=torch.channels_last)


def generator_of(device: torch.device, seed: int, epoch: int, step: int) -> torch.Generator:
    """The source of the draws of one step; numbers below 0 are for what is no step."""
    name = digest.of_json([seed, epoch, step])
    return torch.Generator(device).manual_seed(int(name[:15], 16))
