"""Digests."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.core import digest


def test_boundaries_between_parts_count() -> None:
    """Moving a byte from one part to the next is another content."""
    assert digest.of_bytes(b"ab", b"c") != digest.of_bytes(b"a", b"bc")


def test_json_is_canonical() -> None:
    """The order of keys does not matter; values and their types do."""
    assert digest.of_json({"b": 1, "a": [2]}) == digest.of_json({"a": [2], "b": 1})
    assert digest.of_json({"a": 1}) != digest.of_json({"a": "1"})
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest.of_json(float("nan"))


def test_sources_are_digested_by_name_and_content(tmp_path: Path) -> None:
    """A changed or renamed source changes the digest; the order of the list does not."""
    one, two = tmp_path / "one.py", tmp_path / "two.py"
    one.write_text("x = 1\n")
    two.write_text("y = 2\n")
    before = digest.of_sources([one, two])
    assert digest.of_sources([two, one]) == before
    two.write_text("y = 3\n")
    assert digest.of_sources([one, two]) != before
