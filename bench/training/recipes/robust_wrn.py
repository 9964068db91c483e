"""RobustWRN: a wide ResNet whose last stage is narrower than the one before, and its plain twin.

At `small` both are the paper's pair (WRN-34-R of 320, 640, 512 channels and WRN-34-12 of 192, 384, 768) at an eighth of
its channels and with two blocks per stage instead of five. The twin's channels, 25, 50, 100 in place of 24, 48, 96,
then give the same number of parameters within 1.2 %. As in the paper, equal parameters are not equal work: RobustWRN
does about twice as many multiplications.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bench.training.objectives.pgd_at import PgdAt
from bench.training.objectives.trades import Trades
from bench.training.recipe import Plan, Recipe
from bench.training.scales import (
    AVERAGED,
    BFLOAT16,
    FEW_ATTACK_STEPS,
    FEW_STEPS,
    ONE_CYCLE,
    PAPER_DIFFERENCES,
    SELECTED_ON_HELD_OUT,
    TEN_STEPS_NEAR,
    small,
    tiny,
)
from bench.training.schedule import Steps

__all__ = ["ENTRY", "pair_scales"]

SMALL_BLOCKS = (2, 2, 2)
TINY_BLOCKS = (1, 1, 1)
BY_STAGES = "robust-wrn"


def pair_scales(
    architecture: str,
    arguments: Mapping[str, object],
    *,
    small_channels: tuple[int, int, int],
    tiny_channels: tuple[int, int, int],
) -> dict[str, Plan]:
    """The plans of one of the pair: they differ in the architecture alone."""
    return {
        "paper": Plan(
            architecture=architecture,
            arguments=arguments,
            objective=Trades(attack=TEN_STEPS_NEAR),
            epochs=100,
            schedule=Steps(base=0.1, milestones=(75, 90), of=100),
            weight_decay=2e-4,
            gradient_norm=5.0,
            differences=PAPER_DIFFERENCES,
        ),
        "small": small(
            PgdAt(attack=FEW_STEPS),
            architecture=BY_STAGES,
            arguments={"blocks": list(SMALL_BLOCKS), "channels": list(small_channels)},
            shared=(BFLOAT16, ONE_CYCLE, FEW_ATTACK_STEPS, AVERAGED, SELECTED_ON_HELD_OUT),
            differences=(
                "an eighth of the channels, and two blocks per stage instead of five",
                "PGD adversarial training instead of TRADES, weight decay 5e-4 instead of 2e-4, gradients not clipped",
            ),
        ),
        "tiny": replace(
            tiny(
                PgdAt(attack=FEW_STEPS),
                architecture=BY_STAGES,
                arguments={"blocks": list(TINY_BLOCKS), "channels": list(tiny_channels)},
            ),
            differences=("an 8x8 data set and three blocks of few channels: for tests and tutorials",),
        ),
    }


ENTRY = Recipe(
    name="robust-wrn",
    title="RobustWRN: a wide ResNet with a reduced last stage, trained adversarially",
    paper="Huang et al. 2021, arXiv 2110.03825",
    scales=pair_scales("robust-wrn", {}, small_channels=(40, 80, 64), tiny_channels=(12, 24, 20)),
)
