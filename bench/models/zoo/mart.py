"""The zoo's `mart`."""

from __future__ import annotations

from bench.models.zoo.spec import ModelSpec

ENTRY = ModelSpec(
    name="mart",
    title="MART",
    summary="A ResNet-18 trained adversarially with more weight on examples that it gets wrong.",
    paper="Wang et al. 2020, ICLR (openreview rklOg6EFwS)",
    recipe="mart",
)
