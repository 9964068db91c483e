"""The zoo's `robust-wrn`."""

from __future__ import annotations

from bench.models.zoo.spec import ModelSpec

ENTRY = ModelSpec(
    name="robust-wrn",
    title="RobustWRN",
    summary="A wide ResNet whose last stage is narrower than the one before, trained adversarially.",
    paper="Huang et al. 2021, arXiv 2110.03825",
    recipe="robust-wrn",
)
