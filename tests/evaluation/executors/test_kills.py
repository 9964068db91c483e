"""SIGKILL at random moments, of the driver or of a worker: what is left is taken up, and the bytes are the same.

`BENCH_KILLS` says how many kills (2 unless it is set; 50 before a release), `BENCH_KILLS_SEED` which moments.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

DRIVER = Path(__file__).with_name("killed_driver.py")
KILLS = int(os.environ.get("BENCH_KILLS", "2"))
SEED = int(os.environ.get("BENCH_KILLS_SEED", "0"))


def start(folder: Path, journal: Path, out: Path, crew: str) -> subprocess.Popen[bytes]:
    """The driver, as a process of its own."""
    path = os.pathsep.join(each for each in sys.path if each)
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(DRIVER), str(folder / "net.py"), str(journal), str(out), crew], env=environment
    )


def workers_of(driver: subprocess.Popen[bytes]) -> list[int]:
    """The process ids of a driver's living workers."""
    found = []
    for task in Path(f"/proc/{driver.pid}/task").glob("*/children"):
        found += [int(pid) for pid in task.read_text().split()]
    return found


def entries(journal: Path) -> dict[Path, int]:
    """What is done, and when."""
    return {path: path.stat().st_mtime_ns for path in journal.glob("*/*.json")}


def wait_for(driver: subprocess.Popen[bytes], journal: Path, n_entries: int) -> None:
    """Until so much is done, or the driver has ended."""
    deadline = time.monotonic() + 300
    while driver.poll() is None and len(entries(journal)) < n_entries:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def kill_one(driver: subprocess.Popen[bytes], draws: random.Random, *, of_workers: bool) -> bool:
    """Kill the driver or one of its workers, if it is still at work; a driver survives its workers."""
    victim = draws.choice([driver.pid, *(workers_of(driver) if of_workers else ())])
    if driver.poll() is not None:
        return False
    os.kill(victim, signal.SIGKILL)
    code = driver.wait(timeout=300)
    assert code == (-signal.SIGKILL if victim == driver.pid else 0)
    return True


def test_random_kills_lose_nothing(bed: Any, expected: dict[str, Any], tmp_path: Path) -> None:
    """What was done stays as it is, to the time of the file; the rest is done again, and the result is the same."""
    draws = random.Random(SEED)
    kills, attempt = 0, 0
    while kills < KILLS:
        attempt += 1
        journal, out = tmp_path / f"journal-{attempt}", tmp_path / f"out-{attempt}"
        bed.order("pace", "0.01")
        while kills < KILLS and not out.exists():
            before = entries(journal)
            driver = start(bed.folder, journal, out, "2")
            wait_for(driver, journal, len(before) + draws.randrange(4))
            time.sleep(draws.uniform(0.0, 0.5))
            kills += kill_one(driver, draws, of_workers=kills > 0)
            after = entries(journal)
            assert all(after[path] == stamp for path, stamp in before.items())
        (bed.folder / "pace").unlink()
        if not out.exists():
            assert start(bed.folder, journal, out, "2").wait(timeout=300) == 0
        assert json.loads(out.read_bytes()) == expected
