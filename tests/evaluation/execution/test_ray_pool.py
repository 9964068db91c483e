"""A real Ray cluster of two nodes on this machine: the same bytes as one process, whatever dies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.attacks.fgsm import FGSM
from bench.core.errors import BenchError, WorkFailedError
from bench.evaluation.execution import protocol
from bench.evaluation.execution.ray_pool import RayPool
from bench.suites import AttackSuite

# A node that starts on a busy machine takes its time; Ray reads this when it is imported.
os.environ.setdefault("RAY_raylet_start_wait_time_s", "300")
ray: Any = pytest.importorskip("ray", reason="needs the extra ray")

DRIVER = Path(__file__).with_name("killed_driver.py")
BRIEF = AttackSuite(name="brief", version=1, attacks=(FGSM(),))


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """One core on each of two nodes."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
    yield cluster
    ray.shutdown()
    cluster.shutdown()


@pytest.fixture(scope="module")
def pool(cluster: Any) -> Iterator[RayPool]:
    """Connected to the cluster."""
    with RayPool(device="cpu") as pool:
        yield pool


def test_ray_finds_the_same_bytes(bed: Any, pool: RayPool, same: Callable[..., bool]) -> None:
    """With the fast engine, on both nodes, each chunk of examples placed once."""
    assert pool.n_workers == 2
    assert same(bed.run(pool))
    assert len(pool._placed) == 4 and not pool._told


def test_a_worker_that_is_killed_mid_chunk_loses_nothing(bed: Any, pool: RayPool, same: Callable[..., bool]) -> None:
    """SIGKILL while it computes: Ray starts the task again."""
    bed.order("kill")
    assert same(bed.run(pool))
    assert list(bed.folder.glob("kill-*")), "a worker took the order"


def test_a_chunk_that_raises_ends_the_run_by_name(
    bed: Any, pool: RayPool, tmp_path: Path, same: Callable[..., bool]
) -> None:
    """Chunk, error and exit code; what was begun is kept, and a run without Ray goes on with it."""
    bed.order("raise", bed.mark_of(70))
    with pytest.raises(WorkFailedError, match="Failed twice: fgsm on chunk 1: RuntimeError: this example is cursed"):
        bed.run(pool, journal=tmp_path / "journal")
    assert {path.name[:6] for path in (tmp_path / "journal").glob("fgsm/*.json")} == {"000000", "000002", "000003"}
    (bed.folder / "raise").unlink()
    assert same(bed.run(journal=tmp_path / "journal"))


def test_a_chunk_that_kills_every_worker_ends_the_run_by_name(bed: Any, pool: RayPool) -> None:
    """After three workers."""
    bed.order("killer", bed.mark_of(130))
    with pytest.raises(WorkFailedError, match=r"clean on chunk 2: its worker died 3 times \(WorkerCrashedError"):
        bed.run(pool, suite=BRIEF)


def test_a_worker_of_another_version_is_refused(bed: Any, pool: RayPool, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line that names both versions, and no retry."""
    here = protocol.Origin.here()
    driver = protocol.Origin(bench=here.bench, code="0123456789ab", torch=here.torch)
    monkeypatch.setattr(protocol.Origin, "here", classmethod(lambda cls: driver))
    with pytest.raises(BenchError, match=r"other software than the driver \(code 0123456789ab there") as caught:
        bed.run(pool, suite=BRIEF, seed=1)
    assert caught.value.exit_code == 2


def test_a_straggler_holds_nobody_up(bed: Any, pool: RayPool, same: Callable[..., bool]) -> None:
    """One worker waits until three of the four chunks have landed, which the other must have done."""
    bed.order("wait")
    assert same(bed.run(pool, progress=lambda event: bed.order("go") if event.chunk >= 3 else None))
    assert list(bed.folder.glob("wait-*")), "a worker took the order"


def test_a_node_that_is_removed_loses_nothing(bed: Any, cluster: Any, pool: RayPool, same: Callable[..., bool]) -> None:
    """With what it was computing; the run ends on the node that is left, and a new one joins in."""
    bed.order("pace", "0.01")
    gone: list[int] = []

    def remove(event: Any) -> None:
        if event.attack == "pgd-20" and not gone:
            gone.append(event.chunk)
            cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)

    assert same(bed.run(pool, progress=remove))
    assert gone
    cluster.add_node(num_cpus=1)


def test_a_cluster_without_what_is_asked_for_is_refused(pool: RayPool) -> None:
    """One line, which says what is missing."""
    with pytest.raises(BenchError, match="has no GPU at all") as caught, RayPool(device="cuda"):
        pass
    assert "\n" not in str(caught.value)


def test_a_driver_that_is_killed_is_resumed_by_the_next(
    bed: Any, cluster: Any, pool: RayPool, tmp_path: Path, expected: dict[str, Any]
) -> None:
    """SIGKILL while Ray works for it; the same command goes on with what is there, to the same bytes."""
    path = os.pathsep.join(each for each in sys.path if each)
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}

    def start() -> subprocess.Popen[bytes]:
        words = (DRIVER, bed.folder / "net.py", tmp_path / "journal", tmp_path / "out", cluster.address)
        return subprocess.Popen([sys.executable, *map(str, words)], env=environment)

    bed.order("pace", "0.02")
    driver = start()
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("journal/pgd-20/*.json")):
        assert driver.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    driver.kill()
    assert driver.wait() == -9 and not (tmp_path / "out").exists()
    kept = bed.finished(tmp_path / "journal")
    (bed.folder / "pace").unlink()
    assert start().wait(timeout=300) == 0
    assert json.loads((tmp_path / "out").read_bytes()) == expected
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in kept.items())
