"""Every model of a board is tried on the stored breaks of all others."""

from __future__ import annotations

import dataclasses

import pytest

from bench import leaderboard
from bench.core.errors import BenchError, FoundSomethingError
from bench.jobs.lookup import Lookup
from bench.jobs.transfer import transfer
from bench.jobs.verify import verify
from bench.leaderboard.store.evidence import EvidenceKind, path_of
from bench.row.serialization import dump_row, row_digest

CPU = Lookup(device="cpu")


def by_model(results):
    return {result.record.model: result for result in results}


def test_breaks_of_one_model_are_tried_on_another(board, row, weak_row):
    """What transfers is stored with the source row's digest and lowers the headline, no verdict of the suite."""
    source, before = leaderboard.read(row), leaderboard.read(weak_row)
    results = by_model(transfer(board, CPU))
    strong, weak = results["pgd-at"], results["standard"]
    assert weak.n_tried == source.evidence.n_breaks and strong.n_tried == 0 and strong.found == ()
    (entry,) = weak.found
    assert entry.row == row_digest(source) and entry.by == "bench verify --transfer"
    assert entry.source == "transfer from pgd-at, quick-v1" and 0 < entry.n <= source.evidence.n_breaks
    after = leaderboard.read(weak_row)
    assert after == weak.record and after.result == before.result and after.external_breaks == (entry,)
    assert after.n_robust == before.n_robust - entry.n and row_digest(after) == row_digest(before)
    checks = {check.what: check.level.value for check in verify(weak_row, CPU).checks}
    assert checks["external"] == "pass"


def test_a_second_time_finds_nothing_and_changes_nothing(board, row, weak_row):
    """Breaks that others found are passed on too, but not back to the model they come from."""
    transfer(board, CPU)
    before = {path: path.read_bytes() for path in board.rglob("*.*") if path.is_file()}
    again = transfer(board, CPU)
    assert all(result.found == () for result in again)
    assert {path: path.read_bytes() for path in board.rglob("*.*") if path.is_file()} == before


def test_progress_names_each_row_that_is_tried(board, row):
    """With the number of inputs that will be classified."""
    told, done = [], []
    transfer(board, CPU, begin=lambda name, total: told.append((name, total)), advance=done.append)
    assert told == [("standard", leaderboard.read(row).evidence.n_breaks)]
    assert sum(done) == told[0][1]


@pytest.mark.parametrize("change", ["threat_model", "dataset"])
def test_only_the_same_question_is_answered(board, row, weak_row, change):
    """Breaks for another radius or other data prove nothing."""
    record = leaderboard.read(weak_row)
    if change == "threat_model":
        other = dataclasses.replace(record, threat_model="Linf:1/5")
    else:
        other = dataclasses.replace(record, digests=dataclasses.replace(record.digests, dataset="0" * 64))
    path = leaderboard.Identity.of(other).path(board)
    path.parent.mkdir(parents=True, exist_ok=True)
    weak_row.rename(weak_row.with_suffix(".gone"))
    path.write_text(dump_row(other))
    link = record.evidence
    if path != weak_row:
        path_of(weak_row, EvidenceKind.OWN, link).rename(path_of(path, EvidenceKind.OWN, link))
    weak = by_model(transfer(board, CPU))["standard"]
    assert weak.n_tried == 0 and weak.found == ()


def test_a_models_own_breaks_are_no_transfer(board, row):
    """Another suite's row of the same weights keeps its number, so that what the suites find stays apart."""
    record = leaderboard.read(row)
    result = dataclasses.replace(record.result, attacks=(), n_robust=record.result.n_clean)
    other = dataclasses.replace(record, suite="other-v1", result=result, evidence=None)
    path = leaderboard.Identity.of(other).path(board)
    path.parent.mkdir(parents=True)
    path.write_text(dump_row(other))
    results = {result.path: result for result in transfer(board, CPU)}
    assert results[path].n_tried == 0 and results[path].found == ()


def test_an_example_is_broken_once(board, row, weak_row):
    """What one row's break broke is not tried again with the next one's."""
    record = leaderboard.read(row)
    twin = dataclasses.replace(record, model="twin", digests=dataclasses.replace(record.digests, model="0" * 64))
    path = leaderboard.Identity.of(twin).path(board)
    path.write_text(dump_row(twin))
    content = path_of(row, EvidenceKind.OWN, record.evidence).read_bytes()
    path_of(path, EvidenceKind.OWN, record.evidence).write_bytes(content)
    weak = by_model(transfer(board, CPU))["standard"]
    (entry,) = weak.found
    assert weak.n_tried == 2 * record.evidence.n_breaks - entry.n


def test_rows_that_cannot_be_tried_are_said(board, weak_row):
    """A model or data of somebody's own, other weights: skipped with the reason, the others are tried."""
    record = leaderboard.read(weak_row)
    for change, message in (
        ({"digests": dataclasses.replace(record.digests, model="0" * 64)}, "but the row is about"),
        ({"model": "mine"}, "--model"),
    ):
        other = dataclasses.replace(record, **change)
        path = leaderboard.Identity.of(other).path(board)
        path.write_text(dump_row(other))
        path_of(weak_row, EvidenceKind.OWN, record.evidence).rename(path_of(path, EvidenceKind.OWN, record.evidence))
        if path != weak_row:
            weak_row.unlink()
        results = {result.path: result for result in transfer(board, CPU)}
        assert message in results[path].skipped and len(results) == 2
        path_of(path, EvidenceKind.OWN, record.evidence).rename(path_of(weak_row, EvidenceKind.OWN, record.evidence))


def test_damaged_evidence_stops_it(board, row, weak_row):
    """Nothing is stored on the word of a file that is not the row's."""
    path = path_of(row, EvidenceKind.OWN, leaderboard.read(row).evidence)
    path.write_bytes(path.read_bytes()[:-1])
    before = weak_row.read_bytes()
    with pytest.raises(FoundSomethingError, match="Nothing was tried"):
        transfer(board, CPU)
    assert weak_row.read_bytes() == before


def test_an_empty_board_is_the_users_error(tmp_path):
    """As everywhere."""
    with pytest.raises(BenchError, match="No rows in"):
        transfer(tmp_path, CPU)


def test_only_the_rows_that_are_wanted_are_tried(board, row, weak_row):
    """On the breaks of all; the others stay as they are."""
    before = row.read_bytes()
    (found,) = transfer(board, CPU, wanted=lambda record: record.model == "standard")
    assert found.path == weak_row and found.n_tried
    assert row.read_bytes() == before
    assert not transfer(board, CPU, wanted=lambda record: False)
