"""The zoo's `aw-net`."""

from __future__ import annotations

from bench.models.zoo.spec import ModelSpec

ENTRY = ModelSpec(
    name="aw-net",
    title="AW-Net",
    summary="A router reads each image and rescales the filters of the ResNet-18 that classifies it.",
    paper="Wei, Zhao, Li 2024, arXiv 2306.03430",
    recipe="aw-net",
    structure="routes",
)
