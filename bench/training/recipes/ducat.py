"""PGD-AT + DUCAT."""

from __future__ import annotations

from dataclasses import replace

from bench.training.objectives.ducat import DummyClasses
from bench.training.objectives.objective import Objective
from bench.training.objectives.pgd_at import PgdAt
from bench.training.recipe import Plan, Recipe
from bench.training.scales import (
    AVERAGED,
    BFLOAT16,
    FEW_ATTACK_STEPS,
    FEW_STEPS,
    FULL_WIDTH,
    MEDIUM_DIFFERENCES,
    MEDIUM_SECOND_STAGE_EPOCHS,
    NARROW,
    ONE_CYCLE,
    SELECTED_ON_HELD_OUT,
    SMALL_WIDTH,
    TEN_STEPS,
    TINY_WIDTH,
    medium,
    small,
    tiny,
)
from bench.training.schedule import OneCycle, Steps

LAST_EPOCH = "the last epoch is kept, not the best one on the test set by PGD against all 2C logits"
BASIC_BLOCKS = "ResNet-18 of basic blocks; the authors' has bottleneck blocks and 13.98 million parameters"
SECOND_STAGE_PEAK = 0.05
MEDIUM_SECOND_STAGE_PEAK = 0.1
FULL = {"backbone": "resnet18", "width": FULL_WIDTH}


def second_stage(objective: Objective, *, starts_from: str, epochs: int, differences: tuple[str, ...] = ()) -> Plan:
    """The stage with two-hot targets alone, from a finished model of the base objective.

    The authors train both stages in one run, of which the first is the base objective on 2C logits.

    Args:
        objective: with two-hot targets from the start.
        starts_from: the finished model.
        epochs: of this stage.
        differences: from the paper, besides those of every second stage.
    """
    plan = small(
        objective,
        epochs=epochs,
        architecture="ducat",
        arguments={"backbone": "resnet18", "width": SMALL_WIDTH},
        shared=(BFLOAT16, NARROW, ONE_CYCLE, FEW_ATTACK_STEPS, AVERAGED),
        differences=(
            *_second_stage_differences("small", starts_from, SECOND_STAGE_PEAK),
            *differences,
        ),
    )
    return replace(plan, starts_from=starts_from, schedule=OneCycle(peak=SECOND_STAGE_PEAK))


def _second_stage_differences(scale: str, starts_from: str, peak: float) -> tuple[str, ...]:
    return (
        LAST_EPOCH,
        BASIC_BLOCKS,
        f"the first stage is this project's {scale} {starts_from} model; a dummy class starts as a copy of its class",
        f"learning rate of one cycle with its peak at {peak} instead of 0.01 and 0.001",
    )


ENTRY = Recipe(
    name="ducat",
    title="PGD-AT, then a dummy class per class that adversarial examples may fall into",
    paper="Wang et al. 2024, arXiv 2410.12671",
    scales={
        "paper": Plan(
            architecture="ducat",
            arguments=FULL,
            objective=DummyClasses(base=PgdAt(attack=TEN_STEPS)),
            epochs=130,
            schedule=Steps(base=0.1, milestones=(100, 105), of=130),
            differences=(BFLOAT16, LAST_EPOCH, BASIC_BLOCKS),
        ),
        "medium": replace(
            medium(
                DummyClasses(base=PgdAt(attack=FEW_STEPS), start=0.0),
                epochs=MEDIUM_SECOND_STAGE_EPOCHS,
                architecture="ducat",
                arguments=FULL,
                shared=tuple(each for each in MEDIUM_DIFFERENCES if each != SELECTED_ON_HELD_OUT),
                differences=_second_stage_differences("medium", "pgd-at", MEDIUM_SECOND_STAGE_PEAK),
            ),
            starts_from="pgd-at",
            schedule=OneCycle(peak=MEDIUM_SECOND_STAGE_PEAK),
        ),
        "small": second_stage(DummyClasses(base=PgdAt(attack=FEW_STEPS), start=0.0), starts_from="pgd-at", epochs=6),
        "tiny": tiny(
            DummyClasses(base=PgdAt(attack=FEW_STEPS)),
            architecture="ducat",
            arguments={"backbone": "resnet18", "width": TINY_WIDTH},
        ),
    },
)
