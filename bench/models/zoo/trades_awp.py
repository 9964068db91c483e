"""The zoo's `trades-awp`."""

from __future__ import annotations

from bench.models.zoo.spec import ModelSpec

ENTRY = ModelSpec(
    name="trades-awp",
    title="TRADES-AWP",
    summary="TRADES whose weights, too, are perturbed adversarially at every step.",
    paper="Wu, Xia, Wang 2020, arXiv 2004.05884",
    recipe="trades-awp",
)
