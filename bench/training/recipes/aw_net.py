"""AW-Net, trained end to end by two-teacher distillation."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from bench.training.crafting import TrainingAttack
from bench.training.objectives.aw_net import AwNetDistillation
from bench.training.recipe import Plan, Recipe
from bench.training.scales import FEW_STEPS, small, tiny
from bench.training.schedule import OneCycle, Steps

ENTRY = Recipe(
    name="aw-net",
    title="AW-Net: a router rescales the filters of a ResNet-18 per input; two-teacher distillation",
    paper="Wei, Zhao, Li 2024, arXiv 2306.03430; objective of MTARD, Zhao et al. 2022",
    teachers={"natural": "standard", "robust": "trades"},
    scales={
        "paper": Plan(
            architecture="aw-resnet18",
            arguments={"width": 64},
            objective=AwNetDistillation(
                attack=TrainingAttack(steps=10, relative_step_size=Fraction(1, 4), start="gaussian")
            ),
            epochs=300,
            schedule=Steps(base=0.1, milestones=(215, 260, 285)),
            weight_decay=2e-4,
            differences=(
                "teachers are this project's standard and trades models",
                "no decay of the weight-update rate",
            ),
        ),
        "small": replace(
            small(
                AwNetDistillation(attack=FEW_STEPS),
                epochs=3,
                architecture="aw-resnet18",
                differences=(
                    "teachers are this project's small standard and trades models instead of wide ResNets",
                    "starts from this project's small trades model, in both branches of every MixBN, not from scratch",
                ),
            ),
            starts_from="trades",
            schedule=OneCycle(peak=0.05),
        ),
        "tiny": tiny(AwNetDistillation(attack=FEW_STEPS), architecture="aw-resnet18"),
    },
)
