"""`bench certify`: what it says, and what it refuses."""

from __future__ import annotations

import json

import pytest

OWN = ("--model", "nets.py:good", "--dataset", "digits", "--device", "cpu")


def test_it_says_what_is_proved(bench):
    """As JSON alone on stdout, and as text that says where nothing could be stored."""
    value = json.loads(bench("certify", *OWN, "--samples", "4", "--json").out)
    assert value["n_examples"] == 4 >= value["n_clean"] >= value["n_certified"] == sum(value["by"].values())
    assert value["certificate"]["indices"] == "0:4" and value["rows"] == []
    text = bench("certify", *OWN, "--samples", "4", "--quiet").out
    assert "nothing breaks" in text and "`bench run` writes rows" in text


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--budget", "0s"), "above 0"),
        (("--budget", "0"), "above 0"),
        (("--samples", "0"), "at least 1 sample"),
        (("--threat-model", "Linf:2"), "below 1"),
        (("--model", "aw-net"), "Cannot bound model 'aw-net': nothing is known of its sigmoid"),
        (("--model", "nets.py:probabilities"), "probabilities"),
    ],
)
def test_what_cannot_be_certified_is_refused_in_one_line(bench, words, says):
    """Exit code 2."""
    result = bench("certify", *OWN, *words)
    assert result.code == 2 and says in result.message
