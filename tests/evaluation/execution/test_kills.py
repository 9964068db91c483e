"""SIGKILL at random moments, of a driver or of a worker: what is left is taken up, and the bytes are the same.

`BENCH_KILLS_SEED` says which moments.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

DRIVER = Path(__file__).with_name("killed_driver.py")
SEED = int(os.environ.get("BENCH_KILLS_SEED", "0"))


def kept(bed: Any, journal: Path, before: dict[Path, int]) -> bool:
    """Whether all that was finished then is there, and none of it was done again."""
    after = bed.finished(journal)
    return all(after.get(path) == stamp for path, stamp in before.items())


@pytest.fixture
def start(bed: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, Path], ForkServerProcess]:
    """Start a driver without workers, by a fork of a process that has imported what it needs."""
    monkeypatch.syspath_prepend(DRIVER.parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(each for each in sys.path if each))
    driver = importlib.import_module(DRIVER.stem)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([DRIVER.stem])

    def start(journal: Path, out: Path) -> ForkServerProcess:
        words = (bed.folder / "net.py", journal, out, "0")
        process = context.Process(target=driver.main, args=tuple(map(str, words)))
        process.start()
        return process

    return start


def test_fifty_kills_lose_nothing(
    bed: Any, start: Callable[[Path, Path], ForkServerProcess], expected: dict[str, Any], tmp_path: Path
) -> None:
    """The driver dies at 50 moments, drawn from the time that an evaluation takes; each goes on where the last died."""
    start(tmp_path / "warm", tmp_path / "warm.json").join()
    begin = time.monotonic()
    start(tmp_path / "whole", tmp_path / "whole.json").join()
    whole = time.monotonic() - begin
    draws = random.Random(SEED)
    kills, attempt = 0, 0
    while kills < 50:
        attempt += 1
        journal, out = tmp_path / f"journal-{attempt}", tmp_path / f"out-{attempt}"
        while not out.exists():
            before = bed.finished(journal)
            driver = start(journal, out)
            driver.join(draws.uniform(0.0, whole))
            driver.kill()
            driver.join()
            assert driver.exitcode in (0, -signal.SIGKILL)
            kills += driver.exitcode == -signal.SIGKILL
            assert kept(bed, journal, before)
        assert json.loads(out.read_bytes()) == expected


def test_a_batch_of_which_a_part_is_stored_is_computed_again_as_a_whole(
    bed: Any, start: Callable[[Path, Path], ForkServerProcess], expected: dict[str, Any], tmp_path: Path
) -> None:
    """As after a death between two entries: both are written again, nothing else is, and the bytes are the same."""
    journal, out = tmp_path / "journal", tmp_path / "out"
    start(journal, out).join()
    before = bed.finished(journal)
    first, last = (journal / "pgd-20" / name for name in bed.batch_mates)
    last.unlink()
    assert set(before) - set(bed.finished(journal)) == {first, last}
    start(journal, out).join()
    after = bed.finished(journal)
    assert {path for path in before if after[path] != before[path]} == {first, last}
    assert json.loads(out.read_bytes()) == expected


def start_with_workers(folder: Path, journal: Path, out: Path) -> subprocess.Popen[bytes]:
    """A driver of two workers, as a process of its own."""
    path = os.pathsep.join(each for each in sys.path if each)
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    words = (sys.executable, DRIVER, folder / "net.py", journal, out, "2")
    return subprocess.Popen(list(map(str, words)), env=environment)


def workers_of(driver: subprocess.Popen[bytes]) -> list[int]:
    """The process ids of a driver's living workers."""
    found = []
    for task in Path(f"/proc/{driver.pid}/task").glob("*/children"):
        found += [int(pid) for pid in task.read_text().split()]
    return found


def wait_for(driver: subprocess.Popen[bytes], journal: Path, n_entries: int) -> None:
    """Until so much is done, or the driver has ended."""
    deadline = time.monotonic() + 300
    while driver.poll() is None and len(list(journal.glob("*/*.json"))) < n_entries:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_killed_driver_of_workers_and_a_killed_worker_lose_nothing(
    bed: Any, expected: dict[str, Any], tmp_path: Path
) -> None:
    """First the driver dies; the next one goes on, survives the death of a worker, and ends with the same bytes."""
    draws = random.Random(SEED)
    journal, out = tmp_path / "journal", tmp_path / "out"
    bed.order("pace", "0.01")
    for n_entries in (draws.randrange(4), 5):
        before = bed.finished(journal)
        driver = start_with_workers(bed.folder, journal, out)
        wait_for(driver, journal, n_entries)
        victim = driver.pid if n_entries < 5 else draws.choice(workers_of(driver))
        os.kill(victim, signal.SIGKILL)
        assert driver.wait(timeout=300) == (-signal.SIGKILL if victim == driver.pid else 0)
        assert kept(bed, journal, before)
    assert json.loads(out.read_bytes()) == expected
