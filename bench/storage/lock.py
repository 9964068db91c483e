"""Hold a folder for one process: by a lock of the operating system on this machine, by a lease in a store."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from bench.core.errors import BenchError, WorkFailedError
from bench.storage.atomic_write import explain_write_errors
from bench.storage.lease import Lease
from bench.storage.path import Place
from bench.storage.remote import RemotePath

__all__ = ["LOCK", "Guard", "held"]

LOCK = ".lock"

_WHO = 1  # where in its file the holder's name begins: Windows locks the byte before, which nobody can read then
_LONGEST = 200
_POLL = 0.01

Guard = Callable[[], None]
"""Called before a write; raises `WorkFailedError` where the folder is not held any more."""


@contextlib.contextmanager
def held(folder: Place, *, timeout: float = 0.0, notify: Callable[[str], None] = lambda line: None) -> Iterator[Guard]:
    """Hold a folder until the context ends, however it ends.

    A lock goes with its process. A lease outlives a killed process by at most `LEASE_SECONDS`.

    Args:
        folder: what to hold; one on this machine exists.
        timeout: seconds to wait for another process that holds it.
        notify: called before waiting, with a line that says for whom.

    Raises:
        BenchError: if another process holds it and there is no patience, or it cannot be written.
        WorkFailedError: if another process holds it for longer than the patience.
    """
    if isinstance(folder, Path):
        with _locked(folder, timeout, notify):
            yield _held_by_system
    elif isinstance(folder, RemotePath):
        lease = Lease(folder)
        try:
            lease.acquire(timeout=timeout, notify=notify)
            yield lease.check
        finally:
            lease.release()
    else:
        raise TypeError(f"Expected `folder` to be a path or in a store, but got {folder!r}.")


@contextlib.contextmanager
def _locked(folder: Path, timeout: float, notify: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock in a folder; the operating system gives it back even if this process is killed."""
    path = folder / LOCK
    # Whoever may write the folder may hold it: a board can have several users.
    lock = FileLock(path, mode=0o666)
    with explain_write_errors(path):
        _acquire(lock, folder, timeout, notify)
    try:
        _sign(path, f"{os.getpid()} on {socket.gethostname()}")
        yield
    finally:
        _sign(path, "")
        lock.release()


def _acquire(lock: FileLock, folder: Path, timeout: float, notify: Callable[[str], None]) -> None:
    with contextlib.suppress(Timeout):
        lock.acquire(timeout=0)
        return
    another = _another(folder / LOCK)
    if not timeout:
        raise BenchError(f"{folder} is in use by {another}. Wait for it, or choose another folder.")
    notify(f"Waiting for {another}, which writes to {folder}.")
    try:
        lock.acquire(timeout=timeout, poll_interval=_POLL)
    except Timeout:
        raise WorkFailedError(
            f"{folder} has been in use by {_another(folder / LOCK)} for {timeout:.0f} seconds. What was finished is"
            " kept: run the same command again when that process has ended."
        ) from None


def _sign(path: Path, who: str) -> None:
    """Say in the lock's file who holds it. Only messages are made of it, so it may fail."""
    with contextlib.suppress(OSError), path.open("r+b", buffering=0) as file:
        file.truncate(_WHO)
        file.seek(_WHO)
        file.write(who.encode())


def _another(path: Path) -> str:
    """Who holds the lock, as far as its file says."""
    said = ""
    with contextlib.suppress(OSError), path.open("rb", buffering=0) as file:
        file.seek(_WHO)
        said = file.read(_LONGEST).decode(errors="replace")
    who = "".join(letter for letter in said if letter.isprintable())
    return f"another bench process ({who})" if who else "another bench process"


def _held_by_system() -> None:
    """A lock is not lost while its process lives."""
