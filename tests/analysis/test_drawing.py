"""Series of a figure can be told apart."""

from __future__ import annotations

import itertools

from bench.analysis.drawing import look


def test_no_two_series_look_alike():
    """Neither by colour and dashes, nor by colour and marker; neighbours differ in all three."""
    looks = [look(number) for number in range(28)]
    assert len({(each.color, each.linestyle) for each in looks}) == 28
    assert len({(each.color, each.marker) for each in looks}) == 28
    for one, next_one in itertools.pairwise(looks):
        assert all(ours != theirs for ours, theirs in zip(one, next_one, strict=True))
