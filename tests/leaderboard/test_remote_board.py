"""A board in a store is written, read, published and inspected as one in a folder."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench import leaderboard
from bench.core import digest
from bench.core.errors import BenchError
from bench.leaderboard.checks.files import inspect_board
from bench.leaderboard.checks.revision import rows_at
from bench.leaderboard.pages.publication import outdated, publish
from bench.leaderboard.store.evidence import EvidenceKind, read_file
from bench.row.arrays import evidence_file
from bench.row.arrays.adversarials import Breaks
from bench.row.record import EvidenceFile, Record
from bench.storage.lock import LOCK
from bench.storage.path import Place, place

Make = Callable[..., Record]


def _breaks(label: int) -> bytes:
    """Evidence that example 0 is broken; another label makes another file."""
    return evidence_file.dump_evidence(
        Breaks(
            indices=np.array([0]),
            labels=np.array([label]),
            predictions=np.array([label + 1]),
            margins=np.array([-1.0], np.float32),
            rounded=np.array([True]),
            deltas=np.ones((1, 1, 2, 2), np.int8),
            exact=np.zeros((0, 1, 2, 2), np.float32),
        )
    )


def _with_evidence(record: Make, label: int, **change: object) -> tuple[Record, bytes]:
    content = _breaks(label)
    link = EvidenceFile(sha256=digest.of_content(content), n_breaks=1)
    return record([False, True, True], evidence=link, **change), content


def _fill(root: Place, record: Make) -> None:
    for model in ("a", "b"):
        row, content = _with_evidence(record, 1, model=model)
        leaderboard.write(row, root, evidence=content)


def _files(root: Place, folder: str = "") -> dict[str, bytes]:
    """Everything in a folder but its lock, by its path."""
    found: dict[str, bytes] = {}
    for path in root.iterdir():
        if path.is_dir():
            found |= _files(path, f"{folder}{path.name}/")
        elif path.name != LOCK:
            found[folder + path.name] = path.read_bytes()
    return found


def test_a_board_has_the_same_bytes_wherever_it_lies(store: str, tmp_path: Path, record: Make) -> None:
    """Rows, suites, evidence and pages; and inspecting it finds nothing."""
    remote = place(store) / "board"
    for root in (tmp_path, remote):
        _fill(root, record)
        publish(root)
        assert outdated(root) == ()
    assert _files(remote) == _files(tmp_path) and "index.html" in _files(remote)
    assert [found.evidence for found in inspect_board(remote).results if found.evidence] == []
    assert [row.model for _, row in leaderboard.read_all(remote)] == ["a", "b"]


def test_a_row_is_replaced_by_force_alone_and_leaves_no_stale_evidence(store: str, record: Make) -> None:
    """As in a folder; the new row's evidence is the only one left."""
    root = place(store) / "board"
    old, content = _with_evidence(record, 1)
    assert leaderboard.write(old, root, evidence=content).written
    new, other = _with_evidence(record, 2, seed=1)
    assert not leaderboard.write(new, root, evidence=other).written
    written = leaderboard.write(new, root, evidence=other, force=True)
    assert written.written and str(written.path) == f"{root}/standard-v1/cifar10/Linf-8_255/pgd-at.json"
    assert read_file(written.path, new, EvidenceKind.OWN) == other
    assert len([name for name in _files(root) if name.endswith(".npz")]) == 1


def test_two_writers_of_one_row_leave_a_row_with_its_evidence(
    memory: str, record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other, whoever is last."""
    monkeypatch.setattr("bench.storage.lease._PAUSE", (0.0, 0.01))
    root = place(memory) / "board"
    rows = [_with_evidence(record, label, seed=label) for label in range(1, 5)]
    threads = [
        threading.Thread(target=leaderboard.write, args=(row, root), kwargs={"evidence": content, "force": True})
        for row, content in rows
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    ((path, row),) = leaderboard.read_all(root)
    assert read_file(path, row, EvidenceKind.OWN) is not None
    assert sorted(name.rpartition(".")[2] for name in _files(root)) == ["json", "json", "npz"]


def test_the_past_of_a_board_in_a_store_is_not_gits(memory: str) -> None:
    """One line that says what can be held against a revision."""
    with pytest.raises(BenchError, match=r"git has no past of memory://.*only a board in a git repository"):
        rows_at(place(memory), "main")
