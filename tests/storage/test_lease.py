"""One holder at a time; a dead one blocks nobody for long."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from bench.core.errors import BenchError, WorkFailedError
from bench.storage.lease import Lease, is_claim
from bench.storage.lock import held
from bench.storage.path import place
from bench.storage.remote import RemotePath, filesystem


@pytest.fixture
def folder(memory: str) -> RemotePath:
    """An empty folder in memory."""
    found = place(memory) / "journal"
    assert isinstance(found, RemotePath)
    return found


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses between tries."""
    monkeypatch.setattr("bench.storage.lease._PAUSE", (0.0, 0.01))


def _claims(folder: RemotePath) -> list[RemotePath]:
    return [each for each in folder.iterdir() if is_claim(each.name)]


def _die(lease: Lease) -> None:
    """What SIGKILL does: the claim stays and is not renewed any more."""
    lease._ended.set()
    lease._renewal.join()


def test_the_second_is_refused_by_name_and_the_lock_goes_with_the_holder(store: str, hasty: None) -> None:
    """Who holds it and until when; nothing stays behind, neither of the holder nor of the refused."""
    folder = place(store) / "journal"
    assert isinstance(folder, RemotePath)
    with held(folder) as check:
        check()
        refused = pytest.raises(
            BenchError, match=r"in use by bench on .*, process \d+\. Its lease ends at \d\d:\d\d:\d\d"
        )
        with refused as caught, held(folder):
            pass
        assert caught.value.exit_code == 2 and "\n" not in str(caught.value)
        assert len(_claims(folder)) == 1
    assert _claims(folder) == []
    with held(folder):
        pass


def test_a_lease_is_renewed_while_its_holder_lives(folder: RemotePath, hasty: None) -> None:
    """Held for several times as long as a claim lasts, the folder is still refused to others."""
    lease = Lease(folder, seconds=1)
    lease.acquire()
    time.sleep(3.5)
    with pytest.raises(BenchError, match="in use"):
        Lease(folder, seconds=1).acquire()
    lease.check()
    lease.release()


def test_a_dead_holder_is_replaced_and_knows_it_if_it_was_only_asleep(folder: RemotePath, hasty: None) -> None:
    """When its claim has ended another takes the folder over; the first is stopped at its next write."""
    first, second = Lease(folder, seconds=2), Lease(folder, seconds=30)
    first.acquire()
    _die(first)
    with pytest.raises(BenchError, match="in use"):
        second.acquire()
    second.acquire(timeout=60)
    assert _claims(folder) == [second._path]
    with pytest.raises(WorkFailedError, match=r"Lost .* to bench on .* What was finished is kept"):
        first.check()
    with pytest.raises(WorkFailedError, match="Lost"):
        first.check()
    second.check()
    second.release()


def test_a_holder_that_slept_alone_goes_on(folder: RemotePath) -> None:
    """Late, but nobody came: the claim is written again."""
    lease = Lease(folder, seconds=0.2)
    lease.acquire()
    _die(lease)
    time.sleep(0.3)
    lease.check()
    lease.release()


def test_a_wrong_clock_neither_takes_nor_keeps_a_folder(folder: RemotePath, hasty: None) -> None:
    """What a claim says of the time is for people; what counts is when the store got it."""
    claim = {"owner": "bench on mars, process 1", "seconds": 30}
    past = folder / "lease.0.json"
    past.write_bytes(json.dumps({**claim, "until": "1999-01-01T00:00:00+00:00"}).encode())
    with pytest.raises(BenchError, match="in use by bench on mars, process 1"):
        Lease(folder).acquire()
    past.write_bytes(json.dumps({**claim, "seconds": 0, "until": "2999-01-01T00:00:00+00:00"}).encode())
    time.sleep(1.1)
    with held(folder):
        assert past not in _claims(folder)


@pytest.mark.parametrize("content", [b"", b"{}", b'{"owner": "x", "seconds": "long"}', b"\xff"])
def test_a_damaged_claim_counts_until_it_ends(folder: RemotePath, hasty: None, content: bytes) -> None:
    """It could be anybody's."""
    (folder / "lease.0.json").write_bytes(content)
    with pytest.raises(BenchError, match="in use by an unknown process"):
        Lease(folder).acquire()


def test_what_a_claim_says_does_not_reach_the_terminal_raw(folder: RemotePath, hasty: None) -> None:
    """Whoever may write to the store may write anything."""
    (folder / "lease.0.json").write_bytes(b'{"owner": "x\\u001b[2Jy\\n", "seconds": 30}')
    with pytest.raises(BenchError, match=r"in use by x\[2Jy\."):
        Lease(folder).acquire()


def test_no_claim_lasts_for_ever(folder: RemotePath, monkeypatch: pytest.MonkeyPatch, hasty: None) -> None:
    """However long it asks for."""
    monkeypatch.setattr("bench.storage.lease._LONGEST", 0.0)
    (folder / "lease.0.json").write_bytes(b'{"owner": "x", "seconds": 1e300}')
    time.sleep(1.1)
    with held(folder):
        pass


def test_of_many_that_ask_at_once_never_two_hold(folder: RemotePath, hasty: None) -> None:
    """Eight threads, three times each: they take turns."""
    holders, most, turns = 0, 0, 0
    guard = threading.Lock()
    failures: list[BenchError] = []

    def work() -> None:
        nonlocal holders, most, turns
        try:
            for _ in range(3):
                with held(folder, timeout=60):
                    with guard:
                        holders += 1
                        most = max(most, holders)
                    time.sleep(0.005)
                    with guard:
                        holders -= 1
                        turns += 1
        except BenchError as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert (most, turns) == (1, 24)
    assert _claims(folder) == []


def test_a_store_that_is_away_for_a_moment_does_no_harm(
    folder: RemotePath, monkeypatch: pytest.MonkeyPatch, hasty: None
) -> None:
    """Within the lease nothing is noticed; after it work stops with exit code 3; when the store is back it goes on."""
    store, now = filesystem("memory"), [100.0]
    put = store.pipe_file
    monkeypatch.setattr("bench.storage.lease._clock", lambda: now[0])

    def refuse(*_: Any) -> None:
        raise ConnectionError("no route to host")

    lease = Lease(folder, seconds=60)
    lease.acquire()
    monkeypatch.setattr(store, "pipe_file", refuse)
    now[0] += 59
    lease.check()
    now[0] += 1
    with pytest.raises(WorkFailedError, match="no route to host"):
        lease.check()
    monkeypatch.setattr(store, "pipe_file", put)
    lease.check()
    lease.release()


def test_a_store_that_tells_no_times_is_refused(
    folder: RemotePath, monkeypatch: pytest.MonkeyPatch, hasty: None
) -> None:
    """A lease needs them; the claim is taken back."""

    def refuse(_: str) -> None:
        raise NotImplementedError

    monkeypatch.setattr(filesystem("memory"), "modified", refuse)
    with pytest.raises(BenchError, match=r"Cannot tell the age of .*cannot do that") as caught, held(folder):
        pass
    assert caught.value.exit_code == 2 and _claims(folder) == []


def test_a_folder_of_this_machine_is_locked_by_the_system(tmp_path: Path) -> None:
    """The second is refused at once; a place of an unknown kind is the programmer's error."""
    with held(tmp_path), pytest.raises(BenchError, match="in use by another bench process"), held(tmp_path):
        pass
    with held(tmp_path) as check:
        check()
    with pytest.raises(TypeError, match="Expected `folder`"), held("x"):  # type: ignore[arg-type]
        pass
