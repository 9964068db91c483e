"""AW-Net, trained end to end by two-teacher distillation."""

from __future__ import annotations

from dataclasses import replace

from bench.training.crafting import TrainingAttack
from bench.training.objectives.aw_net import AwNetDistillation, CraftThrough
from bench.training.recipe import Plan, Recipe
from bench.training.scales import (
    FEW_STEPS,
    MEDIUM_SECOND_STAGE_EPOCHS,
    PAPER_DIFFERENCES,
    TEN_STEPS_NEAR,
    medium,
    small,
    tiny,
)
from bench.training.schedule import OneCycle, Steps

__all__ = ["ENTRY", "aw_net_scales"]

ARCHITECTURE = "aw-resnet18-high-pass"


NO_RATE_DECAY = "the rate at which the losses' weights move does not decay"


def crafted_through(part: CraftThrough) -> tuple[str, ...]:
    """How the router is built and trained, on which the paper's public text says nothing."""
    found = (
        "a router on high-pass images, without norms, trained alone first and then at a tenth of the learning rate",
        f"attacks crafted through the {part}",
    )
    return (*found, "the last epoch is kept, not the best one under PGD") if part == "soft mix" else found


def second_stage_differences(scale: str) -> tuple[str, ...]:
    """What differs from the paper where the network starts from a finished model of that scale."""
    return (
        NO_RATE_DECAY,
        "weight decay 5e-4 instead of 2e-4",
        "attacks start from uniform points, not from 0.001 times a normal one",
        f"teachers are this project's {scale} standard and trades models instead of wide ResNets",
        f"starts from this project's {scale} trades model, in both branches of every MixBN, not from scratch",
    )


def aw_net_scales(craft_through: CraftThrough) -> dict[str, Plan]:
    """The plans of AW-Net with attacks crafted through that part of it."""

    def objective(attack: TrainingAttack) -> AwNetDistillation:
        return AwNetDistillation(attack=attack, craft_through=craft_through)

    return {
        "paper": Plan(
            architecture=ARCHITECTURE,
            arguments={"width": 64},
            objective=objective(TEN_STEPS_NEAR),
            epochs=300,
            schedule=Steps(base=0.1, milestones=(215, 260, 285), of=300),
            weight_decay=2e-4,
            differences=(
                *PAPER_DIFFERENCES,
                "teachers are this project's standard and trades models",
                NO_RATE_DECAY,
                *crafted_through(craft_through),
            ),
        ),
        "medium": replace(
            medium(
                objective(FEW_STEPS),
                epochs=MEDIUM_SECOND_STAGE_EPOCHS,
                architecture=ARCHITECTURE,
                differences=(*second_stage_differences("medium"), *crafted_through(craft_through)),
            ),
            starts_from="trades",
            schedule=OneCycle(peak=0.1),
        ),
        "small": replace(
            small(
                objective(FEW_STEPS),
                architecture=ARCHITECTURE,
                differences=(*second_stage_differences("small"), *crafted_through(craft_through)),
            ),
            starts_from="trades",
            schedule=OneCycle(peak=0.05),
        ),
        "tiny": tiny(objective(FEW_STEPS), architecture=ARCHITECTURE),
    }


ENTRY = Recipe(
    name="aw-net",
    title="AW-Net: a router rescales the filters of a ResNet-18 per input; two-teacher distillation",
    paper="Wei, Zhao, Li 2024, arXiv 2306.03430; objective of MTARD, Zhao et al. 2022",
    teachers={"natural": "standard", "robust": "trades"},
    scales=aw_net_scales("adversarial branch"),
)
