from __future__ import annotations

import dataclasses

import pytest

from bench import data
from bench.core.errors import BenchError


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, range(360)),
        ({"samples": 1}, range(1)),
        ({"samples": 360}, range(360)),
        ({"indices": "3:7"}, range(3, 7)),
        ({"indices": " :7 "}, range(7)),
        ({"indices": "350:"}, range(350, 360)),
        ({"indices": "359:360"}, range(359, 360)),
    ],
)
def test_picks_consecutive_examples(digits, asked, expected):
    """Counts take the first, ranges the middle, and indices stay positions in the split."""
    assert data.select(digits, **asked).indices.tolist() == list(expected)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"samples": 0}, "at least 1 sample"),
        ({"samples": -3}, "but got -3"),
        ({"samples": 361}, "digits has 360 test examples"),
        ({"indices": "0:361"}, "digits has 360 test examples"),
        ({"indices": "360:"}, "within 0:360"),
        ({"indices": "7:3"}, "A below B"),
        ({"indices": "7:7"}, "A below B"),
        ({"indices": "-3:7"}, "as A:B"),
        ({"indices": "1:2:3"}, "as A:B"),
        ({"indices": "12"}, "as A:B"),
        ({"indices": ""}, "as A:B"),
        ({"samples": 3, "indices": "0:3"}, "got both"),
    ],
)
def test_refuses_what_is_not_there(digits, asked, message):
    """A range that is malformed, empty or too long says what there is."""
    with pytest.raises(BenchError, match=message):
        data.select(digits, **asked)


def test_says_that_a_sample_is_in_use(digits):
    """Too few examples because of a substitute sample: the reason is in the message."""
    sample = dataclasses.replace(digits, notice="20-image sample")
    with pytest.raises(BenchError, match=r"\(20-image sample\)"):
        data.select(sample, samples=1000)
