"""Interval bound propagation: a network whose robustness can be proved."""

from __future__ import annotations

from dataclasses import replace

from bench.training.objectives.ibp import Ibp
from bench.training.recipe import Augmentation, Plan, Recipe
from bench.training.scales import AVERAGED, ONE_CYCLE, SELECTED_ON_HELD_OUT, small, tiny
from bench.training.schedule import OneCycle, Steps

KERNELS = "kernels of 3x3 throughout, and SGD instead of Adam"

ENTRY = Recipe(
    name="ibp",
    title="interval bound propagation: trained on bounds, so that its robustness can be proved",
    paper="Gowal et al. 2018, arXiv 1810.12715",
    scales={
        "paper": Plan(
            architecture="cnn",
            arguments={"channels": [32, 32, 64, 64], "strides": [1, 2, 1, 2], "grid": 8, "hidden": 512},
            objective=Ibp(),
            epochs=350,
            schedule=Steps(base=0.01, milestones=(200, 250, 300), of=350),
            weight_decay=0.0,
            gradient_norm=1.0,
            differences=(KERNELS, SELECTED_ON_HELD_OUT),
        ),
        "small": replace(
            small(
                Ibp(),
                architecture="cnn",
                arguments={"channels": [16, 32, 64], "strides": [2, 1, 2], "grid": 4, "hidden": 128},
                shared=(ONE_CYCLE, AVERAGED, SELECTED_ON_HELD_OUT),
                differences=(KERNELS, "a network of 0.2 million parameters"),
            ),
            schedule=OneCycle(peak=0.05),
            weight_decay=0.0,
            gradient_norm=1.0,
        ),
        "tiny": replace(
            tiny(
                Ibp(),
                architecture="cnn",
                arguments={"channels": [16, 32], "strides": [1, 2], "grid": 4, "hidden": 64},
                epochs=150,
            ),
            schedule=OneCycle(peak=0.1),
            augmentation=Augmentation(padding=0, flip=False),
            weight_decay=0.0,
            gradient_norm=1.0,
            differences=("an 8x8 data set and a network of 40 thousand parameters: for tests and tutorials",),
        ),
    },
)
