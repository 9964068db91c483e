"""A journal in a store keeps the promises of one in a folder."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor, nn

from bench.core.errors import BenchError, WorkFailedError
from bench.core.types import Examples, ThreatModel
from bench.evaluation import Header, evaluate, make_plan, result_of
from bench.evaluation.journal.journal import open_journal
from bench.storage.lease import is_claim
from bench.storage.lock import held
from bench.storage.path import Place, place
from bench.storage.remote import filesystem

ROOT = Path(__file__).resolve().parents[3]
KILLABLE = Path(__file__).with_name("killable.py")
LEASE = 15.0


Start = Callable[[str, Path, float], subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a slow evaluation; none outlives the test."""
    begun: list[subprocess.Popen[bytes]] = []

    def begin(journal: str, out: Path, pause: float) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "LEASE_SECONDS": str(LEASE)}
        command = [sys.executable, str(KILLABLE), journal, str(out), str(pause)]
        begun.append(subprocess.Popen(command, env=environment, cwd=ROOT))
        return begun[-1]

    yield begin
    for process in begun:
        process.kill()
        process.wait()


def _header_of(usual: dict[str, Any]) -> Header:
    module, examples = usual["module"], usual["examples"]
    return make_plan(module, examples, threat_model=usual["threat_model"], suite=usual["suite"]).header


def _entries(folder: Place) -> list[Place]:
    return sorted(folder.glob("*/*.json"))


def test_a_killed_driver_blocks_its_successor_only_while_its_lease_lasts(
    s3_bucket: str, tmp_path: Path, start: Start
) -> None:
    """SIGKILL amid a run: refused by name at once, taken over after the lease, and an uninterrupted run's bytes."""
    url, out, reference = f"{s3_bucket}/runs/killed", tmp_path / "out", tmp_path / "reference"
    whole = start(str(tmp_path / "whole"), reference, 0)
    folder, killed = place(url), start(url, out, 0.5)
    deadline = time.monotonic() + 300
    while len(_entries(folder)) < 8:
        assert killed.poll() is None and time.monotonic() < deadline
        time.sleep(0.2)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait(timeout=60) == -signal.SIGKILL and not out.exists()
    with pytest.raises(BenchError, match=rf"in use by .*, process {killed.pid}\. Its lease ends"), held(folder):
        pass
    kept = {path: path.read_bytes() for path in _entries(folder)}
    assert 8 <= len(kept) < 18
    with held(folder, timeout=120):
        pass
    assert start(url, out, 0).wait(timeout=300) == 0
    assert whole.wait(timeout=300) == 0 and out.read_text() == reference.read_text()
    assert {path: path.read_bytes() for path in kept} == kept
    assert not [path.name for path in folder.iterdir() if is_claim(path.name)]


@pytest.fixture
def usual(linear: nn.Module, examples: Examples, gradient_suite: Any, threat_model: ThreatModel) -> dict[str, Any]:
    """What every evaluation of these tests has in common."""
    return {"module": linear, "examples": examples, "suite": gradient_suite, "threat_model": threat_model}


@pytest.mark.parametrize("damage", [lambda content: content[: len(content) // 2], lambda _: b""])
def test_a_truncated_entry_is_done_again(store: str, usual: dict[str, Any], damage: Any) -> None:
    """It is found by its checksum; the result is that of a run without a journal, the other entries stay."""
    folder = place(store) / "journal"
    evaluate(**usual, journal=folder)
    stored = {path: path.read_bytes() for path in _entries(folder)}
    assert len(stored) == 3 * 4
    path = folder / "fgsm" / "000001-64-127.json"
    path.write_bytes(damage(stored[path]))  # type: ignore[attr-defined]
    again = evaluate(**usual, journal=str(folder))
    assert result_of(again) == result_of(evaluate(**usual))
    assert {each for each in stored if each.read_bytes() != stored[each]} <= {path}
    assert path.read_bytes() != damage(stored[path])


def test_a_second_driver_is_refused_and_changes_nothing(memory: str, usual: dict[str, Any]) -> None:
    """The holder is named, with the end of its lease; its own run goes on."""
    folder = place(memory)
    header = _header_of(usual)
    with open_journal(folder, header):
        with pytest.raises(BenchError, match=rf"in use by bench on .*, process {os.getpid()}\. Its lease ends at"):
            evaluate(**usual, journal=folder)
        assert _entries(folder) == []
    assert result_of(evaluate(**usual, journal=folder)) == result_of(evaluate(**usual))


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_store_keeps_what_was_finished(
    memory: str, usual: dict[str, Any], monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """Exit code 3 and a line that says so; with space again the run goes on to the same result."""
    put, left, folder = filesystem("memory").pipe_file, [8], place(memory)

    def fill(*words: Any) -> None:
        left[0] -= "lease" not in words[0]
        if left[0] < 0:
            raise OSError(code, os.strerror(code))
        put(*words)

    monkeypatch.setattr(filesystem("memory"), "pipe_file", fill)
    with pytest.raises(WorkFailedError, match=r"No space left to write memory://.*What was finished is kept") as caught:
        evaluate(**usual, journal=folder)
    assert caught.value.exit_code == 3
    monkeypatch.setattr(filesystem("memory"), "pipe_file", put)
    assert len(_entries(folder)) == 7
    assert result_of(evaluate(**usual, journal=folder)) == result_of(evaluate(**usual))


def test_a_journal_of_another_run_is_refused_by_name(memory: str, usual: dict[str, Any]) -> None:
    """As in a folder; so is a folder of other things, and one whose header is gone."""
    folder = place(memory)
    evaluate(**usual, journal=folder / "a")
    with pytest.raises(BenchError, match=r"made for another run: seed \(0 there, 1 here\)"):
        evaluate(**usual, seed=1, journal=folder / "a")
    with pytest.raises(BenchError, match="is not empty and holds no journal"):
        evaluate(**usual, journal=folder)
    (folder / "a" / "header.json").write_bytes(b"damaged")  # type: ignore[attr-defined]
    with pytest.raises(BenchError, match="lost its header"):
        evaluate(**usual, journal=folder / "a")
    assert not [path.name for path in (folder / "a").iterdir() if is_claim(path.name)]


def test_a_fresh_run_asks_for_no_entry(memory: str, usual: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """One listing says what is there; what was found there is read once."""
    asked: list[str] = []
    get = filesystem("memory").cat_file

    def note(path: str) -> bytes:
        asked.append(path)
        return bytes(get(path))

    monkeypatch.setattr(filesystem("memory"), "cat_file", note)
    evaluate(**usual, journal=place(memory))
    assert [path for path in asked if "fgsm" in path] == []
    evaluate(**usual, journal=place(memory))
    assert len([path for path in asked if "fgsm" in path]) == 4


def test_an_interrupted_run_gives_its_journal_back(memory: str, usual: dict[str, Any], make: Any) -> None:
    """Ctrl-C: the next run need not wait, and goes on."""

    def interrupt(*_: Any) -> Tensor:
        raise KeyboardInterrupt

    folder = place(memory)
    stopped = {**usual, "suite": make["suite"](make["Scripted"](act=interrupt))}
    with pytest.raises(KeyboardInterrupt):
        evaluate(**stopped, journal=folder)
    assert len(_entries(folder)) == 4 and not [path.name for path in folder.iterdir() if is_claim(path.name)]


def test_an_entry_is_not_written_by_who_lost_the_lease(memory: str, usual: dict[str, Any]) -> None:
    """A driver that slept while another took over stops before it writes."""
    folder = place(memory)
    header = _header_of(usual)

    def refuse() -> None:
        raise WorkFailedError("Lost the journal.")

    with open_journal(folder, header) as journal:
        journal._check = refuse
        with pytest.raises(WorkFailedError, match="Lost"):
            journal.write("clean", None, None, inputs="")  # type: ignore[arg-type]
    assert _entries(folder) == []
