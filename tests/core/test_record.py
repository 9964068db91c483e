"""The row as stored."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import BenchError
from bench.core.record import Record, dumps, loads, result_bytes

FROZEN = Path(__file__).with_name("frozen") / "record_v1.json"


@pytest.fixture
def row() -> dict[str, Any]:
    """The frozen row as JSON values."""
    return json.loads(FROZEN.read_text())


def test_a_row_of_version_1_loads_for_ever() -> None:
    """A row written by the first release is read with every number in its place."""
    record = loads(FROZEN.read_bytes())
    assert record.result.verdicts() == (True,) * 3 + (False,) * 6
    assert [stage.n_robust for stage in record.result.attacks[1].stages] == [4, 3]
    assert record.result.attacks[0].stages == ()
    assert record.external_breaks[0].indices == (0, 2)


def test_a_row_is_written_as_it_was_read() -> None:
    """Field for field and byte for byte; a column without stages has no such field."""
    assert dumps(loads(FROZEN.read_bytes())) == FROZEN.read_text()


def test_result_bytes_do_not_depend_on_cost_or_provenance() -> None:
    """Two runs of the same thing differ there and nowhere else."""
    record = loads(FROZEN.read_bytes())
    later = dataclasses.replace(
        record,
        cost=dataclasses.replace(record.cost, device="other"),
        provenance=dataclasses.replace(record.provenance, date="2027-01-01T00:00:00Z"),
    )
    other = dataclasses.replace(record, result=dataclasses.replace(record.result, seed=1))
    assert result_bytes(later) == result_bytes(record) != result_bytes(other)


@pytest.mark.parametrize("where", [(), ("result",), ("result", "attacks", 0), ("cost", "attacks", 1)])
def test_an_unknown_field_is_refused(row: dict[str, Any], where: tuple[Any, ...]) -> None:
    """At every depth, by name."""
    place = row
    for step in where:
        place = place[step]
    place["n_robst"] = 1
    with pytest.raises(BenchError, match="n_robst"):
        loads(json.dumps(row))


@pytest.mark.parametrize("name", ["model", "digests", "result", "cost", "provenance"])
def test_a_missing_field_is_refused(row: dict[str, Any], name: str) -> None:
    """By name."""
    del row[name]
    with pytest.raises(BenchError, match=name):
        loads(json.dumps(row))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("n_clean", 6, "`n_clean` to be 7"),
        ("n_robust", 4, "`n_robust` to be 3"),
        ("n_examples", 8, "`n_examples` to be 9"),
        ("n_clean", "7", "a whole number"),
        ("n_clean", True, "a whole number"),
        ("clean", "/w==", "2 packed bytes"),
        ("indices", "first", "START:STOP"),
        ("attacks", {}, "a list"),
    ],
)
def test_a_row_that_contradicts_itself_is_refused(row: dict[str, Any], field: str, value: Any, message: str) -> None:
    """Counts, lengths and types must agree, in one line that names the file."""
    row["result"][field] = value
    with pytest.raises(BenchError, match=message) as caught:
        loads(json.dumps(row), source="rows/a.json")
    assert "rows/a.json" in str(caught.value) and "\n" not in str(caught.value)


def test_an_attack_cannot_mend_a_misclassified_example(row: dict[str, Any]) -> None:
    """Robust means correct when clean, too."""
    row["result"]["attacks"][0]["robust"] = "+QA="
    row["result"]["attacks"][0]["n_robust"] = 6
    row["result"]["clean"], row["result"]["n_clean"] = "/gA=", 7
    with pytest.raises(BenchError, match="correct when clean"):
        loads(json.dumps(row))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema_version": "1"}', '{"schema_version": 0}', "NaN"])
def test_what_is_no_row_is_refused(text: str) -> None:
    """In one line."""
    with pytest.raises(BenchError, match="Cannot read record as a row"):
        loads(text)


def test_a_row_of_the_future_asks_for_an_update(row: dict[str, Any]) -> None:
    """A later schema version is not guessed at."""
    row["schema_version"] = 2
    with pytest.raises(BenchError, match=r"schema version 2.*Update bench"):
        loads(json.dumps(row))


def test_an_old_row_is_migrated_step_by_step(row: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every version has one function that makes the next; a row passes through all of them."""
    monkeypatch.setattr("bench.core.record.SCHEMA_VERSION", 3)
    old = copy.deepcopy(row)
    old["network"] = old.pop("model")

    def rename(value: dict[str, Any]) -> dict[str, Any]:
        return {**{key: item for key, item in value.items() if key != "network"}, "model": value["network"]}

    def mark(value: dict[str, Any]) -> dict[str, Any]:
        return {**value, "model": value["model"] + "!", "schema_version": 3}

    record = loads(json.dumps(old), migrations={1: rename, 2: mark})
    assert isinstance(record, Record) and record.model == "pgd-at!"
