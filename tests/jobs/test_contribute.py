"""Breaks that others found are judged first, and only ever lower a row's headline."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from bench import data, leaderboard, models
from bench.attacks.pgd import PGD
from bench.core.errors import BenchError, FoundSomethingError, WorkFailedError
from bench.evaluation.verify import judge
from bench.jobs import contribute
from bench.jobs.contribute import Contribution, FoundBreaks, add, store_found
from bench.jobs.lookup import Lookup
from bench.jobs.row_files import check_file
from bench.jobs.verify import verify
from bench.leaderboard.store.evidence import EvidenceKind, path_of
from bench.row.arrays.adversarials import Breaks
from bench.row.packing import pack_margins, pack_verdicts
from bench.row.serialization import dump_row

CPU = Lookup(device="cpu")
DIGITS = data.load("digits")


@pytest.fixture(scope="module")
def attacked():
    """PGD on the weak model: points `(64, 1, 8, 8)`, and which of them break their example."""
    dataset = data.load("digits")
    model = models.load("standard", dataset=dataset).module
    examples, threat_model = dataset.examples[:64], dataset.default_threat_model
    points = PGD(steps=10).perturb(model, examples, threat_model, seed=0)
    judged = judge(model, points, examples, threat_model)
    broken = (~judged.robust & ~judged.marginal).numpy()
    assert 8 < broken.sum() < 64
    return examples, points.numpy(), np.flatnonzero(broken), np.flatnonzero(~broken)


def contribution(path, **arrays):
    np.savez(path, **arrays)
    return Contribution(file=path, by="A. Reader", source="https://example.org")


def test_breaks_that_hold_lower_the_headline_and_nothing_else(weak_row, tmp_path, attacked):
    """New ones are stored with who found them; a row so amended verifies, external breaks included."""
    _, points, broken, robust = attacked
    before = leaderboard.read(weak_row)
    claims = np.concatenate([broken[:5][::-1], robust[:2]])
    added = add(weak_row, contribution(tmp_path / "a.npz", indices=claims, inputs=points[claims]), CPU)
    assert added.new == tuple(broken[:5]) and set(added.refused) == set(robust[:2])
    assert added.known == added.outside == ()
    after = leaderboard.read(weak_row)
    assert after == added.record and after.result == before.result
    assert after.n_robust == before.n_robust - 5 == after.result.n_robust - 5
    (entry,) = after.external_breaks
    assert (entry.by, entry.source, entry.indices) == ("A. Reader", "https://example.org", tuple(broken[:5]))
    checks = {check.what: check.level.value for check in verify(weak_row, CPU).checks}
    assert checks["external"] == checks["counts"] == "pass"


def test_the_same_breaks_count_once(weak_row, tmp_path, attacked):
    """Handed in again they are known, and the row stays as it is; more are added to those that are there."""
    _, points, broken, _ = attacked
    first = contribution(tmp_path / "a.npz", indices=broken[:4], inputs=points[broken[:4]])
    add(weak_row, first, CPU)
    before = weak_row.read_bytes()
    again = add(weak_row, first, CPU)
    assert again.new == () and again.known == tuple(broken[:4]) and weak_row.read_bytes() == before
    more = add(weak_row, contribution(tmp_path / "b.npz", indices=broken[2:6], inputs=points[broken[2:6]]), CPU)
    assert more.new == tuple(broken[4:6]) and more.known == tuple(broken[2:4])
    assert [found.n for found in more.record.external_breaks] == [4, 2]
    assert more.record.external_evidence.n_breaks == 6
    assert len(list(weak_row.parent.glob("standard.external.*"))) == 1
    assert verify(weak_row, CPU).headline == more.record.n_robust


@pytest.mark.parametrize("kind", ["float64 inputs", "float32 deltas", "8-bit deltas", "int32 indices"])
def test_the_ways_to_write_them_down(weak_row, tmp_path, attacked, kind):
    """Inputs or deltas, in input units or in steps of 1/255."""
    examples, points, broken, _ = attacked
    chosen = broken[:6]
    clean = examples.inputs.numpy()[chosen]
    deltas = points[chosen] - clean
    arrays = {
        "float64 inputs": {"indices": chosen, "inputs": points[chosen].astype(np.float64)},
        "float32 deltas": {"indices": chosen, "deltas": deltas},
        "8-bit deltas": {"indices": chosen, "deltas": np.trunc(deltas * 255).astype(np.int8)},
        "int32 indices": {"indices": chosen.astype(np.int32), "inputs": points[chosen]},
    }[kind]
    added = add(weak_row, contribution(tmp_path / "a.npz", **arrays), CPU)
    assert len(added.new) >= 5


def test_what_lies_outside_counts_as_what_it_is_pulled_back_to(weak_row, tmp_path, attacked):
    """A large perturbation is no break by itself; the row holds only what lies in the ball."""
    examples, points, broken, robust = attacked
    chosen = np.concatenate([broken[:3], robust[:3]])
    clean = examples.inputs.numpy()[chosen]
    far = clean + 5 * (points[chosen] - clean)
    added = add(weak_row, contribution(tmp_path / "a.npz", indices=chosen, inputs=far.astype(np.float32)), CPU)
    assert set(added.outside) == set(chosen)
    assert set(robust[:3]) <= set(added.refused)
    checks = {check.what: check.level.value for check in verify(weak_row, CPU).checks}
    assert not added.new or checks["external"] == "pass"


def test_clean_inputs_and_nan_break_nothing(weak_row, tmp_path, attacked):
    """Nothing holds, nothing is stored."""
    examples, _, broken, _ = attacked
    before = weak_row.read_bytes()
    clean = examples.inputs.numpy()[broken[:3]]
    for inputs in (clean, np.full_like(clean, np.nan)):
        added = add(weak_row, contribution(tmp_path / "a.npz", indices=broken[:3], inputs=inputs), CPU)
        assert added.new == added.known == () and added.refused == tuple(broken[:3])
    assert weak_row.read_bytes() == before


def test_files_that_are_no_breaks_are_the_users_error(weak_row, tmp_path):
    """One line, exit code 2, nothing changed."""
    before = weak_row.read_bytes()
    good = np.zeros((2, 1, 8, 8), np.float32)
    bomb = tmp_path / "bomb.npz"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inputs.npy", bytes(1 << 26))
        archive.writestr("indices.npy", b"")
    cases = [
        ({"indices": np.array([0, 1])}, "either inputs or deltas, but got neither"),
        ({"indices": np.array([0, 1]), "inputs": good, "deltas": good}, "inputs and deltas"),
        ({"inputs": good}, "the array indices"),
        ({"indices": np.array([0, 0]), "inputs": good}, "occurs twice"),
        ({"indices": np.array([0, -1]), "inputs": good}, "but got -1 to 0"),
        ({"indices": np.array([0, 10**6]), "inputs": good}, "1000000"),
        ({"indices": np.array([0, 64]), "inputs": good}, "example 64 is none"),
        ({"indices": np.array([0]), "inputs": good}, r"shape \(1, 1, 8, 8\)"),
        ({"indices": np.array([], np.int64), "inputs": good[:0]}, "one at least"),
        ({"indices": np.array([0.0, 1.0]), "inputs": good}, "indices to be"),
        ({"indices": np.array([0, 1]), "inputs": good.astype(object)}, "inputs"),
        ({"indices": np.array([0, 1]), "inputs": good, "more": good}, "only the arrays"),
    ]
    for arrays, message in cases:
        with pytest.raises(BenchError, match=message) as caught:
            add(weak_row, contribution(tmp_path / "a.npz", **arrays), CPU)
        assert caught.value.exit_code == 2
    (tmp_path / "text.npz").write_text("no archive")
    for name in ("absent.npz", "text.npz", "bomb.npz"):
        with pytest.raises(BenchError, match="Cannot read") as caught:
            add(weak_row, Contribution(file=tmp_path / name, by="a", source="b"), CPU)
        assert caught.value.exit_code == 2
    assert weak_row.read_bytes() == before


def test_nothing_is_added_to_a_row_that_does_not_hold(weak_row, tmp_path, attacked):
    """A changed row, other weights, changed external evidence: a finding, exit code 1."""
    _, points, broken, _ = attacked
    one = contribution(tmp_path / "a.npz", indices=broken[:1], inputs=points[broken[:1]])
    two = contribution(tmp_path / "b.npz", indices=broken[1:2], inputs=points[broken[1:2]])
    whole = weak_row.read_text()
    weak_row.write_text(whole.replace('"seed": 0', '"seed": 7'))
    with pytest.raises(FoundSomethingError, match=r"does not hold \(row\)|changed after it was written"):
        add(weak_row, one, CPU)
    record = leaderboard.read(_rewritten(weak_row, whole))
    other = dataclasses.replace(record, digests=dataclasses.replace(record.digests, model="0" * 64))
    weak_row.write_text(dump_row(other))
    with pytest.raises(FoundSomethingError, match=r"does not hold \(weights\)"):
        add(weak_row, one, CPU)
    _rewritten(weak_row, whole)
    added = add(weak_row, one, CPU)
    path = path_of(weak_row, EvidenceKind.EXTERNAL, added.record.external_evidence)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(FoundSomethingError, match=r"does not hold \(external\)"):
        add(weak_row, two, CPU)
    names = [check.what for check in verify(weak_row, CPU).checks if check.level == "fail"]
    assert "external" in names


def test_external_breaks_without_a_file_are_said_to_be_unverified(weak_row):
    """As in rows of version 1."""
    value = json.loads(weak_row.read_text())
    entry = {"source": "a", "by": "b", "date": "2026-01-01", "n": 1, "indices": [0]}
    for name in ("evidence", "checksum"):
        value.pop(name, None)
    weak_row.write_text(json.dumps({**value, "schema_version": 1, "external_breaks": [entry]}, indent=1) + "\n")
    checks = {check.what: check for check in verify(weak_row, CPU).checks}
    assert checks["external"].level == "not applicable" and "cannot be judged again" in checks["external"].evidence


def _rewritten(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_marginal_break_is_not_taken(weak_row, tmp_path, attacked, monkeypatch):
    """What rounding alone decides may fall the other way on the next machine."""
    _, points, broken, _ = attacked
    monkeypatch.setattr("bench.evaluation.verify._ROUNDING", 1e9)
    added = add(weak_row, contribution(tmp_path / "a.npz", indices=broken[:3], inputs=points[broken[:3]]), CPU)
    assert added.new == () and added.refused == tuple(broken[:3])


def _one_break(index):
    """Example `index`, broken."""
    return Breaks(
        indices=np.array([index]),
        labels=np.array([0]),
        predictions=np.array([1]),
        margins=np.array([-1.0], np.float32),
        rounded=np.array([True]),
        deltas=np.ones((1, 1, 8, 8), np.int8),
        exact=np.zeros((0, 1, 8, 8), np.float32),
    )


def _hand_in(path, judged, index):
    """One break, confirmed for the row as it was when it was judged."""
    found = FoundBreaks(breaks=_one_break(index), source="a page", by="another")
    store_found(path, judged, [found], DIGITS)


def _robust_rows(weak_row, count, n_examples=40):
    """Rows of which every example is robust, by their paths."""
    record = leaderboard.read(weak_row)
    verdicts, margins = pack_verdicts([True] * n_examples), pack_margins([1.0] * n_examples)
    attack = dataclasses.replace(record.result.attacks[0], n_robust=n_examples, robust=verdicts, best_margin=margins)
    counts = dict.fromkeys(("n_examples", "n_clean", "n_robust"), n_examples)
    result = dataclasses.replace(record.result, **counts, indices=f"0:{n_examples}", clean=verdicts, attacks=(attack,))
    rows = [
        dataclasses.replace(record, model=f"standard-{number}", result=result, evidence=None) for number in range(count)
    ]
    return {leaderboard.write(row, weak_row.parents[3]).path: row for row in rows}


def _assert_all_there(path, n_breaks):
    """Each break is told in the row, is in its file, and lowers the headline."""
    after = leaderboard.read(path)
    assert sorted(index for each in after.external_breaks for index in each.indices) == list(range(n_breaks))
    assert after.n_robust == after.result.n_robust - n_breaks
    breaks, check = check_file(path, after, EvidenceKind.EXTERNAL, (1, 8, 8))
    assert check.level == "pass" and len(breaks) == n_breaks


def _pair_after_pair(rows, n_pairs, side, meet):
    """One side of pairs that hand in a break each to one row at once."""
    for turn in range(n_pairs // len(rows)):
        for path, judged in rows.items():
            meet.wait(60)
            _hand_in(path, judged, 2 * turn + side)


def test_of_200_pairs_of_contributions_none_is_lost(weak_row, monkeypatch):
    """Each is stored beside what the other has just stored."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # the power does not fail here
    rows, meet = _robust_rows(weak_row, 20), threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda side: _pair_after_pair(rows, 200, side, meet), range(2)))
    for path in rows:
        _assert_all_there(path, 20)


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_of_20_pairs_of_contributing_processes_none_is_lost(weak_row):
    """As threads."""
    rows, fork = _robust_rows(weak_row, 1), multiprocessing.get_context("fork")
    meet = fork.Barrier(2)
    sides = [fork.Process(target=_pair_after_pair, args=(rows, 20, side, meet)) for side in range(2)]
    for side in sides:
        side.start()
    for side in sides:
        side.join(60)
    assert [side.exitcode for side in sides] == [0, 0]
    _assert_all_there(*rows, 40)


def test_what_happens_to_the_row_while_breaks_are_judged_is_seen(weak_row, tmp_path, attacked, monkeypatch):
    """What another broke is known and told once; breaks of a model that the row is no longer about are not stored."""
    _, points, broken, _ = attacked
    judge_claims = contribute._judged

    def meanwhile(change):
        def judged(*arguments):
            change(leaderboard.read(weak_row))
            return judge_claims(*arguments)

        monkeypatch.setattr(contribute, "_judged", judged)

    meanwhile(lambda record: _hand_in(weak_row, record, int(broken[1])))
    added = add(weak_row, contribution(tmp_path / "a.npz", indices=broken[:2], inputs=points[broken[:2]]), CPU)
    assert added.new == tuple(broken[:1]) and added.known == tuple(broken[1:2])
    assert [each.indices for each in added.record.external_breaks] == [tuple(broken[1:2]), tuple(broken[:1])]

    def retrained(record):
        digests = dataclasses.replace(record.digests, model="0" * 64)
        weak_row.write_text(dump_row(dataclasses.replace(record, digests=digests)))

    meanwhile(retrained)
    with pytest.raises(WorkFailedError, match="was replaced meanwhile"):
        add(weak_row, contribution(tmp_path / "b.npz", indices=broken[3:4], inputs=points[broken[3:4]]), CPU)
