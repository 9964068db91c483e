"""The zoo's `at-awp`."""

from __future__ import annotations

from bench.models.zoo.spec import ModelSpec

ENTRY = ModelSpec(
    name="at-awp",
    title="AT-AWP",
    summary="PGD-AT whose weights, too, are perturbed adversarially at every step.",
    paper="Wu, Xia, Wang 2020, arXiv 2004.05884",
    recipe="at-awp",
)
