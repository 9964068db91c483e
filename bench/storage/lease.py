"""A lease on a folder in a store: held by writing a claim again and again, lost by ceasing to.

Stores have no lock that goes with its holder. So who wants a folder writes a claim under a name of its own, then lists
the claims: alone, it holds the folder; else it takes its claim back and is refused. Of two that ask at once, the second
to write sees the first's claim, whichever that is, so never both hold; if both see each other, both take back and try
again after a pause of random length. This needs no conditional write, only that a listing shows what was written before
it began, as it does in S3, Google Cloud Storage and Azure. (Not every store that fsspec reaches honours "only if it is
not there"; some ignore the wish silently.)

A claim lasts for so many seconds after it was last written, by the store's clock: who judges another's claim has just
written one of its own, and compares the two times that the store gave them. No machine's clock is asked, so none need
be right. The holder counts from before each request to write, by its own clock's speed alone, and stops work when that
time is over before its next claim is stored.

What is not guaranteed: a holder that is suspended between looking at its clock and writing an entry may write one
entry after the lease was taken over. It is whole, and of the same run, so its verdicts are those of its successor.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from bench.core import strict_json
from bench.core.errors import BenchError, WorkFailedError
from bench.storage.remote import RemotePath

__all__ = ["LEASE_SECONDS", "Lease", "is_claim"]

LEASE_SECONDS = 60.0
"""OUR CHOICE: long beside a request that is retried, short beside a wait for a dead driver."""

_PREFIX = "lease."
_RENEWALS = 4  # in the time that a claim lasts, so that three may fail
_GRAIN = 1.0  # stores tell times in whole seconds
_TRIES = 4
_PAUSE = (0.1, 0.8)
_LONGEST = 3600.0


@dataclass(frozen=True, kw_only=True)
class _Claim:
    """What another process says of itself, and until when its claim lasts by the store's clock."""

    path: RemotePath
    owner: str
    end: datetime
    expired: bool


class Lease:
    """Holds one folder for this process, once `acquire` was called.

    Args:
        folder: in a store.
        seconds: how long a claim lasts.
    """

    def __init__(self, folder: RemotePath, seconds: float | None = None) -> None:
        self._folder = folder
        self._seconds = LEASE_SECONDS if seconds is None else seconds
        self._path = folder / f"{_PREFIX}{secrets.token_hex(8)}.json"
        self._deadline = 0.0
        self._lost: WorkFailedError | None = None
        self._turn = threading.Lock()
        self._ended = threading.Event()
        self._renewal = threading.Thread(target=self._keep, name=f"lease on {folder}", daemon=True)

    def acquire(self, *, timeout: float = 0.0, notify: Callable[[str], None] = lambda line: None) -> None:
        """Take the folder, and keep it until `release`.

        Args:
            timeout: seconds to go on trying where another process holds it.
            notify: called before going on, with a line that says who holds it.

        Raises:
            BenchError: if another process holds it; its name and the end of its lease are told.
            WorkFailedError: if the store does not answer, or another process holds it for longer than the patience.
        """
        began, tries = _clock(), 0
        while True:
            started, tries = _clock(), tries + 1
            self._write()
            claims = list(self._others())
            rivals = [claim for claim in claims if not claim.expired]
            if not rivals:
                self._deadline = started + self._seconds
                for claim in claims:
                    claim.path.unlink(missing_ok=True)
                self._renewal.start()
                return
            self._path.unlink(missing_ok=True)
            if tries >= _TRIES and started >= began + timeout:
                kind = WorkFailedError if timeout else BenchError
                raise kind(_in_use(self._folder, rivals[0]))
            if timeout and tries == _TRIES:
                notify(f"Waiting for {rivals[0].owner}, which writes to {self._folder}.")
            time.sleep(random.uniform(*_PAUSE))

    def check(self) -> None:
        """Make sure that the folder is still held; called before every write.

        Raises:
            WorkFailedError: if another process has taken it over, or the store does not answer.
        """
        with self._turn:
            if self._lost is None and _clock() >= self._deadline:
                self._renew()
            if self._lost is not None:
                raise self._lost

    def release(self) -> None:
        """Give the folder back. If the store does not answer, the claim ends by itself."""
        self._ended.set()
        if self._renewal.ident is not None:
            self._renewal.join()
        with contextlib.suppress(BenchError):
            self._path.unlink(missing_ok=True)

    def _keep(self) -> None:
        """Write the claim again and again; where that fails for long, `check` says so."""
        while not self._ended.wait(self._seconds / _RENEWALS):
            with self._turn, contextlib.suppress(BenchError):
                if self._lost is None:
                    self._renew()

    def _renew(self) -> None:
        """Write the claim again; if the last one may have ended before this one was stored, look who else came."""
        started = _clock()
        self._write()
        if _clock() >= self._deadline:
            rival = next((claim for claim in self._others() if not claim.expired), None)
            if rival is not None:
                self._path.unlink(missing_ok=True)
                self._lost = WorkFailedError(
                    f"Lost {self._folder} to {rival.owner}, since the lease could not be renewed for"
                    f" {self._seconds:.0f} seconds. What was finished is kept."
                )
                return
        self._deadline = started + self._seconds

    def _write(self) -> None:
        until = datetime.now(timezone.utc) + timedelta(seconds=self._seconds)
        owner = f"bench on {socket.gethostname()}, process {os.getpid()}"
        claim = {"owner": owner, "seconds": self._seconds, "until": until.isoformat(timespec="seconds")}
        self._path.write_bytes(json.dumps(claim).encode())

    def _others(self) -> Iterator[_Claim]:
        """All claims but this one; what is no claim counts as one, of nobody known."""
        now = self._path.modified()
        for path in self._folder.iterdir():
            if is_claim(path.name) and path != self._path:
                with contextlib.suppress(FileNotFoundError):  # taken back since the listing
                    owner, seconds = _parse(path.read_bytes())
                    end = path.modified() + timedelta(seconds=seconds)
                    yield _Claim(path=path, owner=owner, end=end, expired=now >= end + timedelta(seconds=_GRAIN))


def is_claim(name: str) -> bool:
    """Whether an object of this name is a claim on the folder that it lies in."""
    return name.startswith(_PREFIX) and name.endswith(".json")


def _in_use(folder: RemotePath, rival: _Claim) -> str:
    return (
        f"{folder} is in use by {rival.owner}. Its lease ends at {rival.end:%H:%M:%S} UTC unless it is renewed, as it"
        " is while that process lives. If it was killed, run the same command again after that; else wait for it, or"
        " name another folder."
    )


def _parse(content: bytes) -> tuple[str, float]:
    try:
        claim = strict_json.loads(content)
        owner = "".join(letter for letter in str(claim["owner"])[:200] if letter.isprintable())
        return owner, min(max(float(claim["seconds"]), 0.0), _LONGEST)
    except (ValueError, TypeError, KeyError):
        return "an unknown process", LEASE_SECONDS


def _clock() -> float:
    """Seconds that only go on, those while the machine slept included where the system counts them."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
