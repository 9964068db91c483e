from __future__ import annotations

import json

import pytest

from bench import attacks, data, models, suites
from bench.training.recipes import RECIPES


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("models", models.names),
        ("datasets", data.names),
        ("attacks", attacks.names),
        ("suites", suites.names),
        ("recipes", RECIPES.names),
    ],
)
def test_everything_that_exists_is_listed(bench, what, names):
    """Each name is there, in the table and in the JSON, and nothing else is on stdout."""
    listed = json.loads(bench("list", what, "--json").out)
    assert tuple(entry["name"] for entry in listed) == names()
    table = bench("list", what).out
    assert [line.split()[0] for line in table.splitlines()[2:]] == list(names())


def test_no_attack_is_listed_without_saying_what_it_does(bench):
    """Every line has a summary."""
    assert all(entry["summary"] for entry in json.loads(bench("list", "attacks", "--json").out))
