"""Does the model do what its checkpoint says? Its clean accuracy against the manifest's."""

from __future__ import annotations

from math import comb

from bench.models import LoadedModel
from bench.models.manifest import Accuracy

__all__ = ["claim_of", "contradiction", "surprise"]

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
        fits = surprise(claim, n_clean=n_clean, n_examples=n_examples) >= _DOUBTED
    if fits:
        return None
    return (
        f"Clean accuracy is {n_clean} of {n_examples}, but the checkpoint's manifest claims {claim.n_correct} of"
        f" {claim.n_examples} (about {expected:.0f} here). Is the data or its normalisation another one?"
    )


def surprise(claim: Accuracy, *, n_clean: int, n_examples: int) -> float:
    """Two-sided chance of a count this far out among `n_examples` drawn from those of the claim (hypergeometric).

    >>> claim = Accuracy(name="clean", checkpoint="best", split="test", n_examples=10, n_correct=5)
    >>> round(surprise(claim, n_clean=0, n_examples=2), 4)
    0.4444
    """
    right, wrong = claim.n_correct, claim.n_examples - claim.n_correct
    at_most = _ways(right, wrong, n_examples, range(n_clean + 1))
    at_least = _ways(right, wrong, n_examples, range(n_clean, n_examples + 1))
    # Whole numbers until the last division, so that thousands of examples do not overflow.
    return min(1.0, 2 * min(at_most, at_least) / comb(claim.n_examples, n_examples))


def _ways(right: int, wrong: int, n_examples: int, counts: range) -> int:
    return sum(comb(right, count) * comb(wrong, n_examples - count) for count in counts)
