"""The zoo's `pgd-at`."""

from __future__ import annotations

from bench.models.zoo.spec import ModelSpec

ENTRY = ModelSpec(
    name="pgd-at",
    title="PGD-AT",
    summary="A ResNet-18 trained on adversarial examples that PGD finds at every step.",
    paper="Madry et al. 2018, arXiv 1706.06083",
    recipe="pgd-at",
)
