from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.cli.tables import clock, percent, row_table, table
from bench.core.record import StageResult, loads

FROZEN = Path(__file__).parent.parent / "core" / "frozen" / "record_v1.json"


@pytest.fixture
def record():
    """A row that an old bench wrote."""
    return loads(FROZEN.read_bytes())


def test_the_stages_of_an_attack_stand_below_it(record):
    """In their order, each with the count that it left."""
    result = record.result
    count = result.attacks[-1].n_robust
    stages = (StageResult(name="first", n_robust=count + 1), StageResult(name="second", n_robust=count))
    attacks = (*result.attacks[:-1], replace(result.attacks[-1], stages=stages))
    lines = row_table(replace(record, result=replace(result, attacks=attacks))).splitlines()
    below = next(number for number, line in enumerate(lines) if line.startswith(attacks[-1].name))
    assert lines[below + 1].split()[:3] == ["-", "first", f"{count + 1}/{result.n_examples}"]
    assert lines[below + 2].split()[:3] == ["-", "second", f"{count}/{result.n_examples}"]


def test_names_that_look_like_numbers_stay_as_they_are():
    """A table shows what it is given."""
    assert table(["name"], [["1e3"]]).splitlines()[-1] == "1e3"


@pytest.mark.parametrize(("seconds", "shown"), [(0.4, "0:00"), (59.6, "1:00"), (3725, "1:02:05")])
def test_a_clock(seconds, shown):
    """Minutes and seconds, hours where there are any."""
    assert clock(seconds) == shown


def test_percent():
    """Two places."""
    assert percent(1 / 3) == "33.33 %"
