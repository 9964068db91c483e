"""When two fingerprints are of one function."""

from __future__ import annotations

import math

import pytest

from bench.row.fingerprint import FINGERPRINT_TOLERANCE, Fingerprint, fingerprint_distance, same_function
from bench.row.packing import pack_logits


def made(**logits: list[float]) -> Fingerprint:
    """A fingerprint of these logits."""
    return Fingerprint(logits={name: pack_logits(values) for name, values in logits.items()})


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_rounding_is_no_difference_at_any_scale(scale: float) -> None:
    """The tolerance is relative to the largest logit of each input: a larger input hides nothing of a smaller one."""
    first = made(a=[scale, -2 * scale], b=[1e9, 0.0])
    assert same_function(first, made(a=[scale, -2 * scale * (1 + FINGERPRINT_TOLERANCE / 2)], b=[1e9, 0.0])) is True
    assert same_function(first, made(a=[scale, -2 * scale * (1 + FINGERPRINT_TOLERANCE * 2)], b=[1e9, 0.0])) is False


def test_logits_that_are_not_finite_must_be_the_same_ones() -> None:
    """NaN is equal to NaN where both have it, and different from every number."""
    first = made(a=[math.nan, 1.0, -math.inf])
    assert fingerprint_distance(first, made(a=[math.nan, 1.0, -math.inf])) == 0
    assert fingerprint_distance(first, made(a=[math.nan, 1.5, -math.inf])) == pytest.approx(1 / 3)
    assert fingerprint_distance(first, made(a=[1.0, math.nan, -math.inf])) == math.inf
    assert fingerprint_distance(first, made(a=[0.0, 1.0, -math.inf])) == math.inf
    assert fingerprint_distance(made(a=[math.nan]), made(a=[math.nan])) == 0
    assert fingerprint_distance(made(a=[0.0, 0.0]), made(a=[0.0, 0.0])) == 0


def test_another_number_of_classes_is_another_function() -> None:
    """Whatever the numbers are."""
    assert fingerprint_distance(made(a=[1.0, 2.0]), made(a=[1.0, 2.0, 0.0])) == math.inf


def test_what_is_not_common_says_nothing() -> None:
    """Only inputs that both have are compared; without one, and without a fingerprint, it is unknown."""
    assert same_function(made(a=[1.0], b=[2.0]), made(a=[1.0], c=[3.0])) is True
    assert same_function(made(a=[1.0]), made(c=[1.0])) is None
    assert same_function(made(a=[1.0]), None) is None
