"""The zoo's `ibp`."""

from __future__ import annotations

from bench.models.zoo.spec import ModelSpec

ENTRY = ModelSpec(
    name="ibp",
    title="IBP",
    summary="A small plain network trained on interval bounds, so that its robustness can be proved.",
    paper="Gowal et al. 2018, arXiv 1810.12715",
    recipe="ibp",
)
