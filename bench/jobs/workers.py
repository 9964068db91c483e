"""Who computes a run: this process, worker processes on this machine, or a Ray cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from bench.core.errors import BenchError, UnknownNameError
from bench.evaluation import Pool, ProcessPool, RayPool
from bench.jobs.request import pick_device

__all__ = ["EXECUTORS", "Workers", "start_workers"]

LOCAL, RAY = EXECUTORS = ("local", "ray")
_MOST_WORKERS = 1000


@dataclass(frozen=True, kw_only=True)
class Workers:
    """What is asked for.

    Args:
        executor: "local" or "ray".
        count: most tasks at once; None for one per device, or all that the cluster has room for.
        devices: of local workers, such as ("cuda:0", "cuda:1"); empty for the run's own device.
        address: of a running Ray cluster, HOST:PORT or "auto"; None starts Ray for the run.
    """

    executor: str = LOCAL
    count: int | None = None
    devices: tuple[str, ...] = ()
    address: str | None = None

    def check(self, device: str | None) -> None:
        """Refuse what does not go together.

        Args:
            device: that was asked for the run itself.

        Raises:
            BenchError: if it does not.
        """
        if self.executor not in EXECUTORS:
            raise UnknownNameError("executor", self.executor, EXECUTORS)
        if self.count is not None and self.count < 1:
            raise BenchError(f"Expected at least 1 worker, but got {self.count}.")
        if self.count is not None and self.count > _MOST_WORKERS:
            raise BenchError(f"Expected at most {_MOST_WORKERS:,} workers, but got {self.count:,}.")
        if self.address is not None and self.executor != RAY:
            raise BenchError("--address is that of a Ray cluster: add --executor ray.")
        if not self.devices:
            return
        if self.executor == RAY:
            raise BenchError(
                "Ray gives each worker a device of its own: leave --devices out, or take --executor local."
            )
        if device is not None:
            raise BenchError("Expected either --device or --devices, but got both.")
        kinds = sorted({pick_device(name).type for name in self.devices})
        if len(kinds) > 1:
            raise BenchError(
                f"Expected devices of one kind, whose numbers agree to the bit, but got {' and '.join(kinds)}."
            )
        if self.count is not None and self.count < len(self.devices):
            raise BenchError(
                f"Expected at least a worker for each of the {len(self.devices)} devices, but got {self.count}."
            )

    def driver_device(self, device: str | None) -> str | None:
        """Where this process computes what it does itself; None for a GPU where there is one."""
        if self.executor == RAY and device is not None and device.startswith("cuda") and not torch.cuda.is_available():
            return None  # GPUs are asked of the cluster
        return self.devices[0] if self.devices else device


@contextlib.contextmanager
def start_workers(workers: Workers, *, device: str | None) -> Iterator[Pool | None]:
    """Get workers ready until the context ends; None where this process is enough.

    Args:
        workers: what is asked for, checked.
        device: that was asked for the run.

    Raises:
        BenchError: if they cannot be had.
    """
    if workers.executor == RAY:
        kind = torch.device(device).type if device is not None else None
        with RayPool(address=workers.address, device=kind, workers=workers.count) as pool:
            yield pool
        return
    devices = workers.devices or (str(pick_device(device)),)
    n_workers = workers.count or len(devices)
    if n_workers == 1:
        yield None
        return
    with ProcessPool([devices[number % len(devices)] for number in range(n_workers)]) as pool:
        yield pool
