"""Whoever changes a board holds it, so that of two writers neither loses what the other wrote."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import leaderboard
from bench.core import digest
from bench.core.errors import WorkFailedError
from bench.leaderboard.pages.publication import outdated, publish
from bench.leaderboard.store import lock
from bench.leaderboard.store.evidence import EvidenceKind, path_of, read_file
from bench.row.arrays import evidence_file
from bench.row.arrays.adversarials import Breaks
from bench.row.record import EvidenceFile, Record

Make = Callable[..., Record]


def with_evidence(row: Record, label: int) -> tuple[Record, bytes]:
    """A row whose example 0 is broken; another label makes another file."""
    content = evidence_file.dump_evidence(
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
    return dataclasses.replace(row, evidence=EvidenceFile(sha256=digest.of_content(content), n_breaks=1)), content


def assert_whole(root: Path, n_rows: int) -> None:
    """Every row has its evidence, and nothing else lies beside them."""
    rows = list(leaderboard.read_all(root))
    assert len(rows) == n_rows
    wanted = {path_of(path, EvidenceKind.OWN, row.evidence) for path, row in rows if row.evidence}
    assert all(read_file(path, row, EvidenceKind.OWN) is not None for path, row in rows)
    assert {path for path in root.glob("*/*/*/*") if path.suffix != ".json"} == wanted


def pair_after_pair(root: Path, make: Make, models: Sequence[str], side: int, meet: Any) -> None:
    """One side of pairs that write one row each at once."""
    for turn, model in enumerate(models):
        label = 2 * turn + side
        row, content = with_evidence(make([False, True], model=model, seed=label), label)
        meet.wait(60)
        leaderboard.write(row, root, evidence=content, force=True)
        if meet.wait(60) == 0:
            assert_whole(root, len(set(models[: turn + 1])))
        meet.wait(60)


def test_of_200_pairs_of_threads_that_write_one_row_none_loses_its_evidence(
    tmp_path: Path, record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is last has the row, with its own evidence beside it."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)  # the power does not fail here
    meet = threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda side: pair_after_pair(tmp_path, record, ["net"] * 200, side, meet), range(2)))


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_of_20_pairs_of_processes_that_write_one_row_none_loses_its_evidence(tmp_path: Path, record: Make) -> None:
    """As threads."""
    fork = multiprocessing.get_context("fork")
    meet, models = fork.Barrier(2), [f"net-{turn}" for turn in range(20)]
    sides = [fork.Process(target=pair_after_pair, args=(tmp_path, record, models, side, meet)) for side in range(2)]
    for each in sides:
        each.start()
    for each in sides:
        each.join(120)
    assert [each.exitcode for each in sides] == [0, 0]


HOLDER = """
import sys, time
from pathlib import Path
from bench.leaderboard import locked

with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(300)
"""


def start(code: str, *words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen([sys.executable, "-c", code, *words], env=environment, stdout=subprocess.PIPE, text=True)


def test_a_waiting_writer_says_for_whom_and_gives_up_in_time(
    tmp_path: Path, record: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The holder's process and the board are named; exit code 3; a holder that is killed frees the board."""
    monkeypatch.setattr(lock, "TIMEOUT", 0.2)
    leaderboard.write(record([True]), tmp_path)
    holder, told = start(HOLDER, str(tmp_path)), []
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        for write in (
            lambda: leaderboard.write(record([False]), tmp_path, force=True, notify=told.append),
            lambda: publish(tmp_path, notify=told.append),
        ):
            with pytest.raises(WorkFailedError, match=f"has been in use by another bench process.*{holder.pid} on"):
                write()
            (line,) = told
            assert line.startswith(f"Waiting for another bench process ({holder.pid} on ") and str(tmp_path) in line
            told.clear()
        assert len(list(leaderboard.read_all(tmp_path))) == 1 and outdated(tmp_path)
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    assert leaderboard.write(record([False]), tmp_path, force=True, notify=told.append).written
    assert told == []


def test_a_thread_may_hold_a_board_twice(tmp_path: Path, record: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named in another way too; it is free when the outer one ends, and others are kept out until then."""
    monkeypatch.setattr(lock, "TIMEOUT", 0.05)
    monkeypatch.chdir(tmp_path)
    refused: list[BaseException] = []

    def other() -> None:
        try:
            leaderboard.write(record([True], model="other"), tmp_path)
        except WorkFailedError as error:
            refused.append(error)

    with leaderboard.locked(tmp_path):
        path = leaderboard.write(record([True]), Path()).path
        publish(tmp_path)
        with leaderboard.locked(leaderboard.board_of(path)):
            pass
        thread = threading.Thread(target=other)
        thread.start()
        thread.join(60)
    other()
    assert len(refused) == 1 and len(list(leaderboard.read_all(tmp_path))) == 2


def test_what_killed_writers_left_goes_and_nothing_else(tmp_path: Path, record: Make) -> None:
    """Temporary files of every kind of file that a board has; not those of others that share the folder."""
    path = leaderboard.write(record([True]), tmp_path).path
    assert isinstance(path, Path)
    left = [
        path.parent / ".pgd-at.json.abcd_123.tmp",
        path.parent / ".gone.evidence.0123456789ab.npz.abcd_123.tmp",
        tmp_path / ".README.md.abcd_123.tmp",
        tmp_path / "standard-v1" / ".suite.json.abcd_123.tmp",
    ]
    others = [
        tmp_path / ".notes.txt.abcd_123.tmp",
        tmp_path / "journal" / "model" / "pgd" / ".000000-0-63.json.abcd_123.tmp",
        path.parent / "notes.tmp",
    ]
    for each in (*left, *others):
        each.parent.mkdir(parents=True, exist_ok=True)
        each.touch()
    leaderboard.write(record([True], model="another"), tmp_path)
    assert not any(each.exists() for each in left) and all(each.exists() for each in others)


def test_a_stale_file_is_only_what_this_row_pointed_to(tmp_path: Path, record: Make) -> None:
    """Not the evidence of a row whose name begins with the same letters."""
    rows = [with_evidence(record([False], model=name), 1) for name in ("net", "net.evidence", "net.external.1", "ne")]
    for row, content in rows:
        leaderboard.write(row, tmp_path, evidence=content)
    row, content = with_evidence(record([False], model="net", seed=1), 2)
    assert leaderboard.write(row, tmp_path, evidence=content, force=True).written
    assert_whole(tmp_path, len(rows))


def test_reading_takes_no_lock(tmp_path: Path, record: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A board in a folder that may not be written is shown and checked all the same."""
    leaderboard.write(record([True]), tmp_path)
    publish(tmp_path)
    (tmp_path / ".lock").unlink()

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a reader asked for the lock")

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    assert len(list(leaderboard.read_all(tmp_path))) == 1 and outdated(tmp_path) == ()
    assert [path.name for path in tmp_path.iterdir() if path.name == ".lock"] == []
