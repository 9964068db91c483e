"""Worker processes: the same bytes as one process, and nothing lost when they die."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.attacks.fgsm import FGSM
from bench.core.errors import BenchError, WorkFailedError
from bench.evaluation.execution import protocol
from bench.evaluation.execution.process_pool import ProcessPool
from bench.suites import AttackSuite

BRIEF = AttackSuite(name="brief", version=1, attacks=(FGSM(),))


@pytest.fixture(scope="module")
def pool() -> Iterator[ProcessPool]:
    """Two workers with one thread each, for all tests here."""
    with ProcessPool(["cpu", "cpu"], threads=1) as pool:
        yield pool


def test_two_workers_find_the_same_bytes(bed: Any, pool: ProcessPool, same: Callable[..., bool]) -> None:
    """With the fast engine, by workers that were told of the model's tensors alone."""
    assert same(bed.run(pool))
    assert len(pool.processes) == 2 and os.getpid() not in pool.processes


def test_four_workers_find_the_same_bytes(bed: Any, same: Callable[..., bool]) -> None:
    """One for each chunk, more than this machine may have cores."""
    with ProcessPool(["cpu"] * 4, threads=1) as pool:
        assert same(bed.run(pool))
        assert len(pool.processes) == 4


def test_a_worker_that_is_killed_mid_chunk_loses_nothing(
    bed: Any, pool: ProcessPool, same: Callable[..., bool]
) -> None:
    """SIGKILL while it computes: another one takes its place and the chunk is done again."""
    bed.run(pool, suite=BRIEF)
    before = set(pool.processes)
    bed.order("kill")
    assert same(bed.run(pool))
    assert len(before & set(pool.processes)) == 1


def test_a_chunk_that_kills_every_worker_ends_the_run_by_name(
    bed: Any, pool: ProcessPool, tmp_path: Path, same: Callable[..., bool]
) -> None:
    """After three deaths, with what killed them; the other chunks are kept, and the next run does the rest."""
    bed.order("killer", bed.mark_of(130))
    with pytest.raises(WorkFailedError, match=r"clean on chunk 2: its worker died 3 times \(SIGKILL") as caught:
        bed.run(pool, journal=tmp_path / "journal", batch_size=64)
    assert caught.value.exit_code == 3
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "journal").glob("clean/*.json")}
    assert {path.name[:6] for path in kept} >= {"000000", "000001"} and "000002" not in {p.name[:6] for p in kept}
    (bed.folder / "killer").unlink()
    assert same(bed.run(pool, journal=tmp_path / "journal"))
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in kept.items())


def test_a_chunk_that_raises_ends_the_run_by_name(
    bed: Any, pool: ProcessPool, tmp_path: Path, same: Callable[..., bool]
) -> None:
    """Chunk, error and exit code; every chunk that was begun is kept, and another number of workers goes on."""
    bed.order("raise", bed.mark_of(70))
    with pytest.raises(WorkFailedError, match="Failed twice: fgsm on chunk 1: RuntimeError: this example is cursed"):
        bed.run(pool, journal=tmp_path / "journal")
    kept = {path.name[:6] for path in (tmp_path / "journal").glob("fgsm/*.json")}
    assert kept == {"000000", "000002", "000003"}
    (bed.folder / "raise").unlink()
    assert same(bed.run(journal=tmp_path / "journal"))


def test_a_straggler_holds_nobody_up(bed: Any, pool: ProcessPool, same: Callable[..., bool]) -> None:
    """One worker waits until three of the four chunks have landed, which the other must have done."""
    bed.order("wait")
    assert same(bed.run(pool, progress=lambda event: bed.order("go") if event.chunk >= 3 else None))
    assert list(bed.folder.glob("wait-*")), "a worker took the order"


def test_a_worker_of_another_version_is_refused(bed: Any, pool: ProcessPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line that names both versions, and no retry."""
    here = protocol.Origin.here()
    driver = protocol.Origin(bench=here.bench, code=here.code, torch="1.0")
    monkeypatch.setattr(protocol.Origin, "here", classmethod(lambda cls: driver))
    with pytest.raises(BenchError, match=r"other software than the driver \(torch 1\.0 there, .* here") as caught:
        bed.run(pool, suite=BRIEF, seed=1)
    assert caught.value.exit_code == 2


def test_a_model_that_another_file_builds_is_refused(bed: Any, pool: ProcessPool) -> None:
    """The user's file was changed after the driver had read it."""
    source = (bed.folder / "net.py").read_text()
    try:
        (bed.folder / "net.py").write_text(source + "\n# edited\n")
        with pytest.raises(BenchError, match="is built by other code here"):
            bed.run(pool, suite=BRIEF, seed=2)
    finally:
        (bed.folder / "net.py").write_text(source)


def test_a_model_that_is_more_than_its_tensors_is_refused(bed: Any, pool: ProcessPool) -> None:
    """What no state dict holds, a worker cannot have: the logits tell."""
    bed.model.module.norm.eps, usual = 10.0, bed.model.module.norm.eps
    try:
        with pytest.raises(BenchError, match="answers otherwise in a worker"):
            bed.run(pool, suite=BRIEF, seed=3)
    finally:
        bed.model.module.norm.eps = usual


def test_workers_end_with_a_killed_driver() -> None:
    """Even mid-chunk they do not live on, nor hold anything that a successor needs."""
    program = (
        "import os, signal, sys\n"
        "from bench.evaluation.execution.process_pool import _Process\n"
        "worker = _Process('cpu', 1, None, {})\n"
        "worker._start()\n"
        "print(worker.pid, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    driver = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment)
    out, _ = driver.communicate(timeout=300)
    assert driver.returncode == -9
    deadline = time.monotonic() + 300
    while Path(f"/proc/{int(out)}").exists() and "Z" not in Path(f"/proc/{int(out)}/stat").read_text().split():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.gpu
def test_a_gpu_shared_by_two_workers(bed: Any) -> None:
    """On one device two workers find what one process finds there."""
    with ProcessPool(["cuda:0", "cuda:0"], threads=1) as pool:
        assert bed.run(pool, device="cuda:0") == bed.run(device="cuda:0")
    assert torch.cuda.is_available()
