"""FGSM-RS, "fast" adversarial training."""

from __future__ import annotations

from bench.training.objectives.fgsm_rs import FgsmRs
from bench.training.recipe import Plan, Recipe
from bench.training.scales import (
    AVERAGED,
    CRAFTED_IN_EVALUATION_MODE,
    SELECTED_ON_HELD_OUT,
    small,
    tiny,
)
from bench.training.schedule import OneCycle

BFLOAT16_FOR_FLOAT16 = "bfloat16 autocast, where the device has it, instead of float16"

ENTRY = Recipe(
    name="fgsm-rs",
    title="FGSM-RS: adversarial training on one large gradient step from a random start",
    paper="Wong, Rice, Kolter 2020, arXiv 2001.03994",
    scales={
        "paper": Plan(
            architecture="normalized",
            arguments={"backbone": "preact-resnet18", "width": 64},
            objective=FgsmRs(),
            epochs=15,
            schedule=OneCycle(peak=0.2, rise=0.5),
            differences=(
                BFLOAT16_FOR_FLOAT16,
                "selected on 1,000 held-out training images; the authors keep the last epoch",
                CRAFTED_IN_EVALUATION_MODE,
            ),
        ),
        "small": small(
            FgsmRs(),
            shared=(AVERAGED, SELECTED_ON_HELD_OUT),
            differences=(
                BFLOAT16_FOR_FLOAT16,
                "ResNet-18 of width 16 on raw inputs instead of PreActResNet-18 of width 64 on normalised ones",
                "learning rate highest after 30 % of training instead of half",
                CRAFTED_IN_EVALUATION_MODE,
            ),
        ),
        "tiny": tiny(FgsmRs()),
    },
)
