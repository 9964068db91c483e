"""Hold a folder for one process: by the operating system's lock on this machine, by a lease in a store."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.core.durable import explain_write_errors
from bench.core.errors import BenchError
from bench.core.lease import Lease
from bench.core.place import Place
from bench.core.remote import RemotePath

__all__ = ["LOCK", "Check", "held"]

LOCK = "lock"

Check = Callable[[], None]
"""Called before a write; raises `WorkFailedError` where the folder is not held any more."""


@contextlib.contextmanager
def held(folder: Place, *, patience: float = 0.0) -> Iterator[Check]:
    """Hold a folder until the context ends, however it ends.

    A lock goes with its process. A lease outlives a killed process by at most `LEASE_SECONDS`.

    Args:
        folder: what to hold; one on this machine exists.
        patience: seconds to wait for another process that holds a folder in a store.

    Raises:
        BenchError: if another process holds it, or it cannot be written.
    """
    if isinstance(folder, Path):
        with _locked(folder):
            yield _held_by_system
    elif isinstance(folder, RemotePath):
        lease = Lease(folder)
        try:
            lease.acquire(patience=patience)
            yield lease.check
        finally:
            lease.release()
    else:
        raise TypeError(f"Expected `folder` to be a path or in a store, but got {folder!r}.")


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock in a folder; the operating system gives it back even if this process is killed."""
    with explain_write_errors(folder / LOCK):
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BenchError(
                f"{folder} is in use by another bench process. Wait for it, or choose another folder."
            ) from None
        yield
    finally:
        os.close(descriptor)


def _held_by_system() -> None:
    """A lock is not lost while its process lives."""
