from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.cli.tables import clock, percent, row_table, rows_table
from bench.row.packing import pack_verdicts
from bench.row.record import Audit, Reported, StageCount
from bench.row.serialization import load_row

FROZEN = Path(__file__).parent.parent / "row" / "frozen" / "record_v1.json"


@pytest.fixture
def record():
    """A row that an old bench wrote."""
    return load_row(FROZEN.read_bytes())


def test_the_stages_of_an_attack_stand_below_it(record):
    """In their order, each with the count that it left."""
    result = record.result
    count = result.attacks[-1].n_robust
    stages = (StageCount(name="first", n_robust=count + 1), StageCount(name="second", n_robust=count))
    attacks = (*result.attacks[:-1], replace(result.attacks[-1], stages=stages))
    lines = row_table(replace(record, result=replace(result, attacks=attacks))).splitlines()
    below = next(number for number, line in enumerate(lines) if line.startswith(attacks[-1].name))
    assert lines[below + 1].split()[:3] == ["-", "first", f"{count + 1}/{result.n_examples}"]
    assert lines[below + 2].split()[:3] == ["-", "second", f"{count}/{result.n_examples}"]


@pytest.mark.parametrize(("seconds", "shown"), [(0.4, "0:00"), (59.6, "1:00"), (3725, "1:02:05")])
def test_a_clock(seconds, shown):
    """Minutes and seconds, hours where there are any."""
    assert clock(seconds) == shown


def test_percent():
    """Two places."""
    assert percent(1 / 3) == "33.33 %"


def test_a_cascade_is_shown_as_the_interval_that_it_is(record):
    """Both ends, what they rest on, and that it takes no rank; in the list of rows the interval is as wide."""
    audit = Audit(at_least=1, confidence=0.95, n_audited=1, n_unaudited=2, n_breaks=0)
    row = replace(record, result=replace(record.result, audit=audit))
    assert "Robust accuracy 11.11 to 33.33 % (1 to 3 of 9; the lower end with 95 % confidence). Not ranked." in (
        row_table(row)
    )
    assert "skipped 2 survivors and broke none of 1 drawn" in row_table(row)
    low, high = (rows_table([each]).splitlines()[-1].split()[-3] for each in (row, record))
    assert float(low) < float(high)
    assert rows_table([row]).split()[-1] == rows_table([record]).split()[-1]


def test_a_cascade_that_tried_everybody_says_why(record):
    """And stays unranked."""
    audit = Audit(
        at_least=3, confidence=0.95, n_audited=2, n_unaudited=0, n_breaks=1, escalated="1 of 2 audited examples broke"
    )
    shown = row_table(replace(record, result=replace(record.result, audit=audit)))
    assert "Robust accuracy 33.33 % (3 of 9). Not ranked." in shown
    assert shown.endswith("tried every survivor, escalated: 1 of 2 audited examples broke.")


def test_what_is_only_reported_stands_apart(record):
    """Below the conclusion, counts and shares by name; a row without any has no such table."""
    naive = Reported(name="naive-pgd-20", parameters={}, n_robust=0, robust=pack_verdicts([False] * 9))
    router = Reported(name="router", parameters={}, statistics={"flipped_by_attack": 0.125})
    shown = row_table(replace(record, result=replace(record.result, reported=(naive, router))))
    table, beside = shown.split("Robust accuracy")
    assert "naive" not in table and "router" not in table
    lines = [line.split() for line in beside.splitlines()]
    assert ["naive-pgd-20", "0/9", "0.00", "%"] in lines
    assert lines[lines.index(["router"]) + 1] == ["-", "flipped_by_attack", "0.125"]
    assert "never counted" not in row_table(record)


def test_rows_that_do_not_fit_stand_under_what_they_share(record, monkeypatch):
    """A terminal of 60 columns has a table for each suite, data set and threat model, and breaks no word."""
    rows = [record, replace(record, model="another-model")]
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    shown = rows_table(rows)
    assert shown.startswith(f"{record.suite}, {record.dataset}, {record.threat_model}\n\nmodel")
    assert max(map(len, shown.splitlines())) <= 60
    assert {"another-model", record.model} <= set(shown.split())
