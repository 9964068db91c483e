"""The zoo's `trades-ducat`."""

from __future__ import annotations

from bench.models.zoo.spec import ModelSpec

ENTRY = ModelSpec(
    name="trades-ducat",
    title="TRADES + DUCAT",
    summary="TRADES with a dummy class per class that adversarial examples may fall into.",
    paper="Wang et al. 2024, arXiv 2410.12671",
    recipe="trades-ducat",
    decision="pair-max",
    structure="raw-pairs",
)
