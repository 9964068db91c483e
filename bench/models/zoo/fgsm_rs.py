"""The zoo's `fgsm-rs`."""

from __future__ import annotations

from bench.models.zoo.spec import ModelSpec

ENTRY = ModelSpec(
    name="fgsm-rs",
    title="FGSM-RS",
    summary="A ResNet-18 trained fast, on one large gradient step from a random start.",
    paper="Wong, Rice, Kolter 2020, arXiv 2001.03994",
    recipe="fgsm-rs",
)
