"""The zoo's `standard`."""

from __future__ import annotations

from bench.models.zoo.spec import ModelSpec

ENTRY = ModelSpec(
    name="standard",
    title="Standard",
    summary="A ResNet-18 trained on clean images alone: accurate, and not robust at all.",
    paper="He et al. 2016, arXiv 1512.03385",
    recipe="standard",
)
