"""Index ranges."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.row.indices import format_indices, parse_indices


@given(st.lists(st.integers(0, 300), min_size=1, unique=True))
def test_ranges_come_back_in_order(indices: list[int]) -> None:
    """Any order of positions, gaps included, is written and read back."""
    assert parse_indices(format_indices(indices)) == tuple(indices)


def test_consecutive_positions_are_one_range() -> None:
    """The common case is as the row's format shows it."""
    assert format_indices(range(1000)) == "0:1000"


@pytest.mark.parametrize("text", ["", "5", "0:1000:2", "-1:3", "4:4", "5:4", "0:3, 5:6", "a:b", "0:\u0663"])
def test_other_texts_are_refused(text: str) -> None:
    """What is no list of ranges, or holds an empty one, is refused."""
    with pytest.raises(ValueError, match="Expected"):
        parse_indices(text)


@pytest.mark.parametrize(
    "text",
    ["0:100000000", "999999999:1000000000", "0:" + "9" * 5000, ",".join(["0:1"] * 30_000), "0:4,3:5", "3:5,0:4"],
)
def test_what_no_data_set_has_is_refused_unexpanded(text: str) -> None:
    """Millions of examples, positions of hundreds of digits, and an example twice; the message stays short."""
    with pytest.raises(ValueError, match="`indices`") as caught:
        parse_indices(text)
    assert len(str(caught.value)) < 200
