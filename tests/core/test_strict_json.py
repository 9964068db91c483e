"""JSON of strangers."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.strict_json import loads

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats(allow_nan=False, allow_infinity=False)
    # Halves of surrogate pairs are no text.
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
    max_leaves=20,
)  # fmt: skip


@given(PLAIN)
def test_what_json_writes_is_read(value: object) -> None:
    """As the standard library reads it, from text and from bytes."""
    assert loads(json.dumps(value)) == value
    assert loads(json.dumps(value, ensure_ascii=False).encode()) == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "Expecting value"),
        ("NaN", "finite"),
        ("-Infinity", "finite"),
        ("1e999", "finite"),
        ("9" * 400, "400"),
        ("9" * 5000, "5000"),
        ("[" * 10_000, "levels"),
        ("[" * 40 + "]" * 40, "levels"),
        ('{"a":' * 100_000, "levels"),
        ('{"a": 1, "a": 2}', "'a' twice"),
        ('["\\ud800"]', "surrogate"),
        ('{"\\ud800": 1}', "surrogate"),
        (b"\xff", "utf-8"),
    ],
)
def test_what_would_surprise_is_refused(text: str | bytes, says: str) -> None:
    """Numbers that are none or endless, nesting without end, keys twice, halves of letters."""
    with pytest.raises(ValueError, match=says):
        loads(text)


def test_many_keys_cost_no_more_than_they_must() -> None:
    """A key that comes twice among 100,000 is found without comparing all pairs."""
    text = "{" + ",".join(f'"{key}": 0' for key in [*range(100_000), 99_999]) + "}"
    with pytest.raises(ValueError, match="'99999' twice"):
        loads(text)


def test_infinite_numbers_where_they_are_expected() -> None:
    """Infinities are read where a file is known to hold them; what is no number never is."""
    assert loads("[Infinity, -Infinity]", infinite=True) == [math.inf, -math.inf]
    with pytest.raises(ValueError, match="NaN"):
        loads("NaN", infinite=True)
