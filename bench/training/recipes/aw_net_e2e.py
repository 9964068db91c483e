"""AW-Net whose training attacks see the whole network, as an attacker meets it."""

from __future__ import annotations

from bench.training.recipe import Recipe
from bench.training.recipes.aw_net import aw_net_scales

ENTRY = Recipe(
    name="aw-net-e2e",
    title="AW-Net trained on attacks end to end, through the soft mix: the twin of aw-net",
    paper="Wei, Zhao, Li 2024, arXiv 2306.03430; objective of MTARD, Zhao et al. 2022",
    teachers={"natural": "standard", "robust": "trades"},
    scales=aw_net_scales("soft mix"),
)
