"""The plain twin of RobustWRN: as many parameters, and everything but the architecture the same."""

from __future__ import annotations

from bench.training.recipe import Recipe
from bench.training.recipes.robust_wrn import pair_scales

ENTRY = Recipe(
    name="wrn",
    title="a plain wide ResNet with as many parameters as robust-wrn, trained in the same way",
    paper="Zagoruyko, Komodakis 2016, arXiv 1605.07146; the baseline of Huang et al. 2021, arXiv 2110.03825",
    scales=pair_scales("wrn", {"depth": 34, "width": 12}, small_channels=(25, 50, 100), tiny_channels=(8, 16, 32)),
)
