"""The row as stored."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import BenchError, RowContradictionError
from bench.row.packing import unpack_logits
from bench.row.record import Diagnostic, ExternalBreak, Record
from bench.row.serialization import dump_row, load_row, result_bytes, row_digest

FROZEN = Path(__file__).with_name("frozen") / "record_v1.json"
FROZEN_2 = FROZEN.with_name("record_v2.json")
FROZEN_3 = FROZEN.with_name("record_v3.json")


@pytest.fixture
def row() -> dict[str, Any]:
    """The frozen row as JSON values."""
    return json.loads(FROZEN.read_text())


def test_a_row_of_version_1_loads_for_ever() -> None:
    """A row written by the first release is read with every number in its place."""
    record = load_row(FROZEN.read_bytes())
    assert record.result.verdicts() == (True,) * 3 + (False,) * 6
    assert [stage.n_robust for stage in record.result.attacks[1].stages] == [4, 3]
    assert record.result.attacks[0].stages == ()
    assert record.external_breaks[0].indices == (0, 2)


def test_a_row_of_version_2_loads_for_ever() -> None:
    """With the evidence beside it, what is only reported, and what others broke."""
    record = load_row(FROZEN_2.read_bytes())
    assert record.evidence is not None and record.evidence.n_breaks == 6
    assert record.external_evidence is not None and record.external_evidence.sha256 == "e" * 64
    assert [each.row for each in record.external_breaks] == [None, "a" * 64]
    naive, router = record.result.reported
    assert (naive.n_robust, naive.statistics) == (8, {})
    assert (router.robust, router.statistics) == (None, {"flip_rate": 0.25})
    assert record.result.audit is not None and record.result.audit.at_least == 2
    assert (record.cost.attacks[1].n_claimed, record.cost.attacks[1].n_rejected) == (3, 1)
    assert record.cost.budget_seconds == 600.0
    assert record.fingerprint is None


def test_a_row_of_version_3_loads_for_ever() -> None:
    """With the model's logits on fixed inputs, which need not be finite."""
    record = load_row(FROZEN_3.read_bytes())
    assert record.fingerprint is not None
    assert [unpack_logits(text) for text in record.fingerprint.logits.values()] == [(0.5, -2.0), (0.25, float("inf"))]


@pytest.mark.parametrize("logits", [{}, {"a": "AAA"}, {"a": "AAAAAAA="}, {"a": None}, {"a": "#"}, ["AAAAAA=="]])
def test_a_fingerprint_that_is_none_is_refused(logits: Any) -> None:
    """Rows are data of strangers: whole float32 numbers in base64, or one line."""
    row = json.loads(FROZEN_3.read_text())
    row["fingerprint"]["logits"] = logits
    del row["checksum"]
    with pytest.raises(BenchError, match="Cannot read record as a row"):
        load_row(json.dumps(row))


@pytest.mark.parametrize(
    ("statuses", "blocked"), [((), False), (("pass", "warn", "not applicable"), False), (("pass", "fail"), True)]
)
def test_a_failed_diagnostic_makes_the_number_an_upper_bound(statuses: tuple[str, ...], blocked: bool) -> None:
    """Nothing less than a failure does."""
    record = load_row(FROZEN.read_bytes())
    found = tuple(
        Diagnostic(id=f"R{number}", status=status, statistic=None, threshold=None, evidence="", next="")
        for number, status in enumerate(statuses, 1)
    )
    doubted = dataclasses.replace(record, result=dataclasses.replace(record.result, diagnostics=found))
    assert doubted.upper_bound_only is blocked


def test_a_row_is_written_as_it_was_read() -> None:
    """Field for field and byte for byte; what is optional and absent has no field."""
    assert dump_row(load_row(FROZEN_3.read_bytes())) == FROZEN_3.read_text()
    as_it_was = dataclasses.replace(load_row(FROZEN_2.read_bytes()), schema_version=2)
    assert dump_row(as_it_was) == FROZEN_2.read_text()
    plain = json.loads(dump_row(load_row(FROZEN.read_bytes())))
    assert plain.pop("checksum")
    assert plain == {**json.loads(FROZEN.read_text()), "schema_version": 3}


def test_others_lower_the_headline_and_leave_the_suites_verdicts() -> None:
    """What others broke counts once, and only where the suite left an example robust."""
    record = load_row(FROZEN_2.read_bytes())
    assert [found.indices for found in record.external_breaks] == [(0,), (0, 5)]
    assert (record.result.n_robust, record.n_robust, record.n_external) == (3, 2, 1)
    assert record.verdicts() == (False, True, True) + (False,) * 6


@pytest.mark.parametrize("place", ["model", "threat_model", "result.seed", "provenance.date", "cost.attacks.0.seconds"])
def test_a_changed_field_contradicts_the_checksum(place: str) -> None:
    """Also one that no count depends on: a row is not edited by hand."""
    row = json.loads(FROZEN_2.read_text())
    *steps, last = [int(step) if step.isdigit() else step for step in place.split(".")]
    inner = row
    for step in steps:
        inner = inner[step]
    inner[last] = inner[last] + (1 if isinstance(inner[last], int | float) else "x")
    with pytest.raises(RowContradictionError, match="changed after it was written"):
        load_row(json.dumps(row))


def test_damaged_verdicts_are_a_change_where_a_checksum_says_so() -> None:
    """A row that can no longer be unpacked was readable once: it contradicts its checksum."""
    text = FROZEN_2.read_text()
    with pytest.raises(RowContradictionError, match="changed after it was written"):
        load_row(text.replace('"/gA="', '"/g*="', 1))


def test_what_a_row_claims_does_not_depend_on_what_others_found() -> None:
    """Nor on cost; another result is another claim."""
    record = load_row(FROZEN_2.read_bytes())
    bare = dataclasses.replace(record, external_breaks=(), external_evidence=None, evidence=None)
    other = dataclasses.replace(record, result=dataclasses.replace(record.result, seed=1))
    assert row_digest(record) == row_digest(bare) != row_digest(other)


def test_an_external_break_of_a_stranger_is_refused(row: dict[str, Any]) -> None:
    """Its indices are the row's, ascending, each once, and counted."""
    for indices, count in (([0, 9], 2), ([2, 0], 2), ([0, 0], 2), ([0], 2)):
        row["external_breaks"][0].update(indices=indices, n=count)
        with pytest.raises(RowContradictionError, match="external_breaks"):
            load_row(json.dumps(row))
    with pytest.raises(ValueError, match="ascending"):
        ExternalBreak(source="a", by="b", date="2026-01-01", n=2, indices=(3, 1))


def test_result_bytes_do_not_depend_on_cost_or_provenance() -> None:
    """Two runs of the same thing differ there and nowhere else."""
    record = load_row(FROZEN.read_bytes())
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
        load_row(json.dumps(row))


@pytest.mark.parametrize("name", ["model", "digests", "result", "cost", "provenance"])
def test_a_missing_field_is_refused(row: dict[str, Any], name: str) -> None:
    """By name."""
    del row[name]
    with pytest.raises(BenchError, match=name):
        load_row(json.dumps(row))


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
        ("reported", [{"name": "naive", "parameters": {}, "n_robust": 1, "robust": "/gA="}], "of naive` to be 7"),
        ("reported", [{"name": "naive", "parameters": {}, "robust": "/gA="}], "of naive` to be 7"),
        (
            "audit",
            {"at_least": 2, "confidence": 0.95, "n_audited": 1, "n_unaudited": 2, "n_breaks": 0},
            "`audit.at_least` to be 1 as in n_robust less",
        ),
        (
            "audit",
            {"at_least": 3, "confidence": 0.95, "n_audited": 1, "n_unaudited": 2, "n_breaks": 1},
            "nothing unaudited after a break",
        ),
        (
            "audit",
            {"at_least": 0, "confidence": 0.95, "n_audited": 10**18, "n_unaudited": 10**18, "n_breaks": 0},
            "counts that fit each other",
        ),
        (
            "audit",
            {"at_least": 3, "confidence": 0.9, "n_audited": 1, "n_unaudited": 0, "n_breaks": 0},
            "counts that fit each other",
        ),
    ],
)
def test_a_row_that_does_not_fit_itself_is_refused(row: dict[str, Any], field: str, value: Any, message: str) -> None:
    """Counts, lengths and types must agree, in one line that names the file."""
    row["result"][field] = value
    with pytest.raises(BenchError, match=message) as caught:
        load_row(json.dumps(row), source="rows/a.json")
    assert "rows/a.json" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("counts", [(4, 4), (2, 3), (3, 4, 3)])
def test_stages_fall_to_their_attacks_count(row: dict[str, Any], counts: tuple[int, ...]) -> None:
    """Each sees what those before it left; the last is the attack's own count, 3."""
    row["result"]["attacks"][1]["stages"] = [{"name": str(count), "n_robust": count} for count in counts]
    with pytest.raises(RowContradictionError, match="stages of autoattack to fall to its count 3"):
        load_row(json.dumps(row))


def test_an_attack_cannot_mend_a_misclassified_example(row: dict[str, Any]) -> None:
    """Robust means correct when clean, too."""
    row["result"]["attacks"][0]["robust"] = "+QA="
    row["result"]["attacks"][0]["n_robust"] = 6
    row["result"]["clean"], row["result"]["n_clean"] = "/gA=", 7
    with pytest.raises(BenchError, match="correct when clean"):
        load_row(json.dumps(row))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema_version": "1"}', '{"schema_version": 0}', "NaN"])
def test_what_is_no_row_is_refused(text: str) -> None:
    """In one line."""
    with pytest.raises(BenchError, match="Cannot read record as a row"):
        load_row(text)


def test_a_row_of_the_future_asks_for_an_update(row: dict[str, Any]) -> None:
    """A later schema version is not guessed at."""
    row["schema_version"] = 4
    with pytest.raises(BenchError, match=r"schema version 4.*Update bench"):
        load_row(json.dumps(row))


def test_an_old_row_is_migrated_step_by_step(row: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every version has one function that makes the next; a row passes through all of them."""
    monkeypatch.setattr("bench.row.serialization.SCHEMA_VERSION", 3)  # whatever it is by then
    old = copy.deepcopy(row)
    old["network"] = old.pop("model")

    def rename(value: dict[str, Any]) -> dict[str, Any]:
        return {**{key: item for key, item in value.items() if key != "network"}, "model": value["network"]}

    def mark(value: dict[str, Any]) -> dict[str, Any]:
        return {**value, "model": value["model"] + "!", "schema_version": 3}

    record = load_row(json.dumps(old), migrations={1: rename, 2: mark})
    assert isinstance(record, Record) and record.model == "pgd-at!"
