"""The zoo's `ducat`."""

from __future__ import annotations

from bench.models.zoo.spec import ModelSpec

ENTRY = ModelSpec(
    name="ducat",
    title="PGD-AT + DUCAT",
    summary="PGD-AT with a dummy class per class that adversarial examples may fall into.",
    paper="Wang et al. 2024, arXiv 2410.12671",
    recipe="ducat",
    decision="pair-max",
    structure="raw-pairs",
)
