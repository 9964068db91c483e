"""Packed verdicts and margins."""

from __future__ import annotations

import base64
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.row.packing import pack_margins, pack_verdicts, unpack_margins, unpack_verdicts


def test_first_example_is_the_highest_bit() -> None:
    """The bit order is part of the format: nine examples, the first and the last set."""
    packed = pack_verdicts([True] + [False] * 7 + [True])
    assert base64.b64decode(packed) == bytes([0b10000000, 0b10000000])


@given(st.lists(st.booleans(), max_size=200))
def test_verdicts_come_back(verdicts: list[bool]) -> None:
    """What is packed is unpacked, for any number of examples."""
    assert unpack_verdicts(pack_verdicts(verdicts), len(verdicts)) == tuple(verdicts)


@given(st.lists(st.floats(width=16, allow_nan=False), max_size=50))
def test_float16_margins_come_back_exactly(margins: list[float]) -> None:
    """Numbers that float16 holds lose nothing."""
    assert unpack_margins(pack_margins(margins), len(margins)) == tuple(margins)


def test_margins_are_rounded_to_nearest_and_saturate_to_infinity() -> None:
    """Rounding is that of IEEE 754: 65519 goes to the largest float16, 65520 to infinity."""
    margins = unpack_margins(pack_margins([0.1, 65519.0, 65520.0, -1e30, -math.inf]), 5)
    assert margins == (struct.unpack("<e", b"\x66\x2e")[0], 65504.0, math.inf, -math.inf, -math.inf)


@pytest.mark.parametrize("text", ["????", "gA", pack_verdicts([True] * 9), pack_verdicts([False] * 3 + [True] * 5)])
def test_verdicts_that_do_not_fit_are_refused(text: str) -> None:
    """No base64, wrong length, or bits past the end: each is refused."""
    with pytest.raises(ValueError, match="Expected"):
        unpack_verdicts(text, 3)


def test_margins_that_do_not_fit_are_refused() -> None:
    """Half a number is no number."""
    with pytest.raises(ValueError, match="Expected 6 packed bytes, but got 4"):
        unpack_margins(pack_margins([1.0, 2.0]), 3)


def test_a_margin_that_is_no_number_is_refused() -> None:
    """NaN is on neither side of a decision."""
    with pytest.raises(ValueError, match="no number"):
        unpack_margins(base64.b64encode(struct.pack("<e", math.nan)).decode(), 1)
