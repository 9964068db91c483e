"""The zoo's `wrn`."""

from __future__ import annotations

from bench.models.zoo.spec import ModelSpec

ENTRY = ModelSpec(
    name="wrn",
    title="WRN (twin of RobustWRN)",
    summary="A plain wide ResNet with as many parameters as robust-wrn, trained in the same way.",
    paper="Zagoruyko, Komodakis 2016, arXiv 1605.07146",
    recipe="wrn",
)
