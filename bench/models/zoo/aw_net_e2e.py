"""The zoo's `aw-net-e2e`."""

from __future__ import annotations

from bench.models.zoo.spec import ModelSpec

ENTRY = ModelSpec(
    name="aw-net-e2e",
    title="AW-Net, end to end",
    summary="An AW-Net whose training attacks saw its router.",
    paper="Wei, Zhao, Li 2024, arXiv 2306.03430",
    recipe="aw-net-e2e",
    structure="routes",
)
