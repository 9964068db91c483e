"""The zoo's `trades`."""

from __future__ import annotations

from bench.models.zoo.spec import ModelSpec

ENTRY = ModelSpec(
    name="trades",
    title="TRADES",
    summary="A ResNet-18 trained to be right on clean images and to answer the same around them.",
    paper="Zhang et al. 2019, arXiv 1901.08573",
    recipe="trades",
)
