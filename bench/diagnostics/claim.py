"""Does the model do what its checkpoint says? Its clean accuracy against the manifest's."""

from __future__ import annotations

from bench.core.statistics import hypergeometric
from bench.models import LoadedModel
from bench.row import Accuracy

__all__ = ["claim_of", "contradiction"]

# OUR CHOICE: rounding on another machine may flip five of 10,000; a sample is doubted at odds of one to a thousand.
_ROUNDING = 5e-4
_DOUBTED = 1e-3


def claim_of(model: LoadedModel, *, dataset: str) -> Accuracy | None:
    """The clean accuracy that the model's checkpoint claims on the test split of `dataset`, or None.

    A claim about other data than the official split (a sample of it is still that data) says nothing.
    """
    manifest = model.manifest
    if manifest is None or manifest.dataset != dataset:
        return None
    return manifest.accuracy("clean", split="test")


def contradiction(claim: Accuracy | None, *, n_clean: int, n_examples: int) -> str | None:
    """Say how a measured clean accuracy contradicts the claim, or None where it does not.

    Args:
        claim: clean accuracy on the test split by the manifest, or None where it makes no claim.
        n_clean: examples of that split that were classified correctly here.
        n_examples: examples of that split that were tried here.
    """
    if claim is None or n_examples > claim.n_examples:
        return None
    expected = claim.fraction * n_examples
    if n_examples == claim.n_examples:
        fits = abs(n_clean - claim.n_correct) <= max(1.0, _ROUNDING * n_examples)
    else:
        chance = hypergeometric(n_clean, n_drawn=n_examples, n_marked=claim.n_correct, n_population=claim.n_examples)
        fits = chance >= _DOUBTED
    if fits:
        return None
    return (
        f"Clean accuracy is {n_clean} of {n_examples}, but the checkpoint's manifest claims {claim.n_correct} of"
        f" {claim.n_examples} (about {expected:.0f} here). Is the data or its normalisation another one?"
    )
