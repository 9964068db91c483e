"""The settings that recipes share at each scale; a recipe replaces what its paper does differently.

`paper` is as published, for a GPU. `medium` is the published network at its full width, meant for two to three minutes
of one GPU, `small` for two CPU cores and 45 minutes on CIFAR-10, `tiny` for the 8x8 digits. These three are OUR CHOICE:
one cycle instead of stepped decay, few and large attack steps, and averaged weights, which together reach most of a
long run's robustness early.

At `medium` batches of 512 keep a large GPU busy, so that neither CUDA graphs nor torch.compile are used: what the first
save is the time to launch kernels, of which nobody waits for here, and the second needs about as long to compile as it
could save in so short a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from bench.training.crafting import TrainingAttack
from bench.training.objectives.objective import Objective
from bench.training.recipe import Augmentation, Plan
from bench.training.schedule import OneCycle

__all__ = [
    "AVERAGED",
    "BFLOAT16",
    "CRAFTED_IN_EVALUATION_MODE",
    "EPSILON_8",
    "FEW_ATTACK_STEPS",
    "FEW_STEPS",
    "FEW_STEPS_NEAR",
    "FULL_WIDTH",
    "MEDIUM_DIFFERENCES",
    "MEDIUM_SECOND_STAGE_EPOCHS",
    "NARROW",
    "ONE_CYCLE",
    "ON_RAW_INPUTS",
    "PADDED_WITH_ZEROS",
    "PAPER_DIFFERENCES",
    "SELECTED_ON_HELD_OUT",
    "SMALL_DIFFERENCES",
    "SMALL_WIDTH",
    "TEN_STEPS",
    "TEN_STEPS_NEAR",
    "TINY_WIDTH",
    "medium",
    "small",
    "tiny",
]

TEN_STEPS = TrainingAttack(steps=10, relative_step_size=Fraction(1, 4))
TEN_STEPS_NEAR = replace(TEN_STEPS, start="gaussian")
FEW_STEPS = TrainingAttack(steps=2, relative_step_size=Fraction(3, 4))
FEW_STEPS_NEAR = replace(FEW_STEPS, start="gaussian")
FULL_WIDTH = 64
SMALL_WIDTH = 16
TINY_WIDTH = 8

# Epochs: one number for all of a scale; a second stage starts from a finished model and needs fewer.
MEDIUM_EPOCHS = 24
MEDIUM_SECOND_STAGE_EPOCHS = 8
SMALL_EPOCHS = 20
TINY_EPOCHS = 30

NARROW = "ResNet-18 of width 16 instead of 64"
ONE_CYCLE = "one-cycle learning rate over few epochs instead of stepped decay over 110 to 300"
FEW_ATTACK_STEPS = "two attack steps of 6/255 instead of ten of 2/255"
AVERAGED = "weights averaged with an exponential moving average"
SELECTED_ON_HELD_OUT = "selected on 1,000 held-out training images, not on the test set"
BFLOAT16 = "bfloat16 autocast, where the device has it, instead of float32"
SMALL_DIFFERENCES = (BFLOAT16, NARROW, ONE_CYCLE, FEW_ATTACK_STEPS, AVERAGED, SELECTED_ON_HELD_OUT)
MEDIUM_DIFFERENCES = (
    BFLOAT16,
    "batches of 512 instead of 128",
    ONE_CYCLE,
    FEW_ATTACK_STEPS,
    AVERAGED,
    SELECTED_ON_HELD_OUT,
)

ON_RAW_INPUTS = "ResNet-18 on raw inputs instead of PreActResNet-18 on normalised ones"
CRAFTED_IN_EVALUATION_MODE = "attack crafted in evaluation mode, not in training mode"
PADDED_WITH_ZEROS = "images padded with zeros, not reflected"
EPSILON_8 = "epsilon 8/255 and step 2/255 instead of 0.031 and 0.007"
PAPER_DIFFERENCES = (BFLOAT16, SELECTED_ON_HELD_OUT)


def medium(
    objective: Objective,
    *,
    epochs: int = MEDIUM_EPOCHS,
    architecture: str = "resnet18",
    arguments: Mapping[str, object] | None = None,
    shared: tuple[str, ...] = MEDIUM_DIFFERENCES,
    differences: tuple[str, ...] = (),
) -> Plan:
    """A plan for minutes of one GPU, with the network as wide as published; arguments as those of `small`."""
    return replace(
        small(
            objective,
            epochs=epochs,
            architecture=architecture,
            arguments={"width": FULL_WIDTH} if arguments is None else arguments,
            shared=shared,
            differences=differences,
        ),
        batch_size=512,
        schedule=OneCycle(peak=0.4),
        ema=0.995,
    )


def small(
    objective: Objective,
    *,
    epochs: int = SMALL_EPOCHS,
    architecture: str = "resnet18",
    arguments: Mapping[str, object] | None = None,
    shared: tuple[str, ...] = SMALL_DIFFERENCES,
    differences: tuple[str, ...] = (),
) -> Plan:
    """A plan for two CPU cores and 32x32 images.

    Args:
        objective: what is minimised.
        epochs: how often the training images are seen.
        architecture: name of the network.
        arguments: of the network; by default a width of 16.
        shared: which of the scale's differences from the papers apply.
        differences: this recipe's own.
    """
    return Plan(
        architecture=architecture,
        arguments={"width": SMALL_WIDTH} if arguments is None else arguments,
        objective=objective,
        epochs=epochs,
        schedule=OneCycle(peak=0.2),
        ema=0.998,
        differences=shared + differences,
    )


def tiny(
    objective: Objective,
    *,
    architecture: str = "resnet18",
    arguments: Mapping[str, object] | None = None,
    epochs: int = TINY_EPOCHS,
) -> Plan:
    """A plan for the 8x8 digits."""
    return Plan(
        architecture=architecture,
        arguments={"width": TINY_WIDTH} if arguments is None else arguments,
        objective=objective,
        epochs=epochs,
        schedule=OneCycle(peak=0.1),
        batch_size=64,
        ema=0.99,
        augmentation=Augmentation(padding=1, flip=False),
        differences=("an 8x8 data set and a network of width 8: for tests and tutorials",),
    )
