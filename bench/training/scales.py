"""The settings that recipes share at each scale; a recipe replaces what its paper does differently.

`small` is what two CPU cores train on CIFAR-10 in at most 45 minutes, `tiny` is for the 8x8 digits. Both are OUR
CHOICE: one cycle instead of stepped decay, few and large attack steps, and averaged weights, which together reach most
of a long run's robustness early.
"""

from __future__ import annotations

from fractions import Fraction

from bench.training.crafting import TrainingAttack
from bench.training.objectives.objective import Objective
from bench.training.recipe import Augmentation, Plan
from bench.training.schedule import OneCycle

__all__ = ["FEW_STEPS", "SMALL_DIFFERENCES", "small", "tiny"]

FEW_STEPS = TrainingAttack(steps=2, relative_step_size=Fraction(3, 4))
SMALL_WIDTH = 16
TINY_WIDTH = 8

SMALL_DIFFERENCES = (
    "ResNet-18 of width 16 instead of 64",
    "one-cycle learning rate over few epochs instead of stepped decay over 110 to 300",
    "two attack steps of 6/255 instead of ten of 2/255",
    "weights averaged with an exponential moving average",
    "selected on 1,000 held-out training images, not on the test set",
)


def small(
    objective: Objective, *, epochs: int, architecture: str = "resnet18", differences: tuple[str, ...] = ()
) -> Plan:
    """A plan for two CPU cores and 32x32 images."""
    return Plan(
        architecture=architecture,
        arguments={"width": SMALL_WIDTH},
        objective=objective,
        epochs=epochs,
        schedule=OneCycle(peak=0.2),
        ema=0.998,
        differences=SMALL_DIFFERENCES + differences,
    )


def tiny(objective: Objective, *, architecture: str = "resnet18", epochs: int = 30) -> Plan:
    """A plan for the 8x8 digits: seconds on one core."""
    return Plan(
        architecture=architecture,
        arguments={"width": TINY_WIDTH},
        objective=objective,
        epochs=epochs,
        schedule=OneCycle(peak=0.1),
        batch_size=64,
        ema=0.99,
        augmentation=Augmentation(padding=1, flip=False),
        differences=("an 8x8 data set and a network of width 8: for tests and tutorials",),
    )
