from __future__ import annotations

import pytest

from bench.core.errors import BenchError
from bench.jobs.durations import in_short, in_words, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("10m", 600), ("1h30m", 5400), ("1h 30m 5s", 5405), ("2H", 7200), ("1.5h", 5400), ("0.5s", 0.5)],
)
def test_durations_that_people_type(text, seconds):
    """Hours, minutes and seconds, in this order, each of them optional."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "m", "0s", "-5m", "5m1h", "10 minutes", "1e3s", "1d", "nan"])
def test_what_is_no_duration_is_refused(text):
    """In one line with examples."""
    with pytest.raises(BenchError, match="such as 90s, 10m or 1h30m"):
        parse_duration(text)


@pytest.mark.parametrize("seconds", [0.2, 1, 59.5, 120, 121, 3599, 3600, 5400.4, 86_401])
def test_a_short_duration_is_long_enough_and_can_be_typed(seconds):
    """What is proposed to the user is never less than what is needed, and not much more."""
    again = parse_duration(in_short(seconds))
    assert seconds <= again <= seconds + 60


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "a second"), (59, "59 seconds"), (90, "1.5 minutes"), (5400, "1.5 hours"), (200_000, "2.3 days")],
)
def test_durations_in_words(seconds, words):
    """Rough, in the largest unit that fits."""
    assert in_words(seconds) == words
