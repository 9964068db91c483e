"""Adversarial examples as plain arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.row.arrays.adversarials import Breaks, apply_deltas, merge_breaks, stronger

SHAPE = (1, 2, 2)


def make(indices: list[int], margins: list[float], rounded: list[bool] | None = None) -> Breaks:
    """Breaks whose content tells their index: deltas of it, or inputs of a hundredth of it."""
    flags = np.array(rounded or [index % 2 == 0 for index in indices], bool)
    numbers = np.array(indices, np.int64)
    fill = np.ones(SHAPE)
    return Breaks(
        indices=numbers,
        labels=numbers % 3,
        predictions=numbers % 3 + 1,
        margins=np.array(margins, np.float32),
        rounded=flags,
        deltas=(numbers[flags, None, None, None] * fill).astype(np.int8),
        exact=(numbers[~flags, None, None, None] * fill / 100).astype(np.float32),
    )


def test_inputs_are_the_clean_ones_changed_or_those_that_were_kept() -> None:
    """Rounded breaks move the clean input by so many 255ths, the others stay as they are; in the order of indices."""
    found = make([1, 2, 3, 4], [-1, -1, -1, -1]).inputs(np.full((4, *SHAPE), 0.2, np.float32))
    expected = [0.01, 0.2 + 2 / 255, 0.03, 0.2 + 4 / 255]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, 0, 0, 0], expected, atol=1e-7)
    with pytest.raises(ValueError, match="clean"):
        make([1], [-1]).inputs(np.zeros((2, *SHAPE), np.float32))


@given(st.integers(0, 255), st.integers(-128, 127))
def test_a_changed_byte_is_a_byte(level: int, delta: int) -> None:
    """On the 8-bit grid the result is the sum on that grid, cut off at black and white, to float32's rounding."""
    clean = np.full((1, 1, 1, 1), level, np.float32) / np.float32(255)
    moved = apply_deltas(np.full((1, 1, 1, 1), delta, np.int8), clean)
    assert abs(float(moved[0, 0, 0, 0]) - min(max(level + delta, 0), 255) / 255) <= 2.0**-24


def test_the_stronger_break_of_each_example_is_kept() -> None:
    """The smaller margin; of equal ones the earlier; a finite one before logits that are not finite."""
    first = make([2, 3, 5, 8], [-1, -2, -np.inf, -1], [True, True, False, False])
    second = make([1, 2, 3, 5, 8], [-9, -3, -1, -0.5, -1], [True, False, True, True, True])
    found = merge_breaks(first, second)
    assert found.indices.tolist() == [1, 2, 3, 5, 8]
    assert found.margins.tolist() == [-9, -3, -2, -0.5, -1]
    assert found.rounded.tolist() == [True, False, True, True, False]
    inputs = found.inputs(np.zeros((5, *SHAPE), np.float32))[:, 0, 0, 0]
    np.testing.assert_allclose(inputs, [1 / 255, 0.02, 3 / 255, 5 / 255, 0.08], atol=1e-7)
    assert stronger(
        np.array([-np.inf, -1, -1, -2], np.float32), np.array([np.inf, -1, -np.inf, -1], np.float32)
    ).tolist() == [
        True,
        False,
        True,
        True,
    ]


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from([-3.0, -2.0, -1.0, -0.0]), st.booleans()), max_size=30))
def test_merging_one_by_one_is_merging_at_once(found: list[tuple[int, float, bool]]) -> None:
    """However the breaks arrive, the result is that of looking at each."""
    parts = [make([index], [margin], [rounded]) for index, margin, rounded in found]
    step_by_step = Breaks.none(SHAPE)
    best: dict[int, tuple[float, bool]] = {}
    for part, (index, margin, rounded) in zip(parts, found, strict=True):
        step_by_step = merge_breaks(step_by_step, part)
        if index not in best or margin < best[index][0]:
            best[index] = (margin, rounded)
    for result in (step_by_step, merge_breaks(Breaks.none(SHAPE), *parts)):
        kept = zip(result.margins.tolist(), result.rounded.tolist(), strict=True)
        assert dict(zip(result.indices.tolist(), kept, strict=True)) == best


def test_picking_keeps_what_belongs_together() -> None:
    """Each break with its own delta or input."""
    found = make([1, 2, 3, 4], [-1, -2, -3, -4]).pick(np.array([False, False, True, True]))
    assert (found.indices.tolist(), found.margins.tolist()) == ([3, 4], [-3, -4])
    inputs = found.inputs(np.zeros((2, *SHAPE), np.float32))[:, 0, 0, 0]
    np.testing.assert_allclose(inputs, [0.03, 4 / 255], atol=1e-7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"indices": np.array([2, 1])}, "ascending"),
        ({"indices": np.array([1, 1])}, "ascending"),
        ({"indices": np.array([-1, 1])}, "ascending"),
        ({"indices": np.array([1.0, 2.0])}, "int64"),
        ({"margins": np.array([0.5, -1], np.float32)}, "at most 0"),
        ({"margins": np.array([np.nan, -1], np.float32)}, "at most 0"),
        ({"labels": np.array([1])}, "2 long"),
        ({"rounded": np.array([True, True])}, "`deltas` to be 2 long"),
        ({"exact": np.full((1, *SHAPE), 1.5, np.float32)}, r"in \[0, 1\]"),
        ({"exact": np.full((1, *SHAPE), np.nan, np.float32)}, r"in \[0, 1\]"),
        ({"exact": np.zeros((2, *SHAPE), np.float32)}, "1 long"),
        ({"deltas": np.zeros((1, 1, 2, 3), np.int8)}, "shaped as exact"),
    ],
)
def test_arrays_that_are_no_breaks_are_refused(change: dict[str, Any], message: str) -> None:
    """Whoever wrote them."""
    with pytest.raises(ValueError, match=message):
        Breaks(**{**make([1, 2], [-1, -2]).arrays, **change})
