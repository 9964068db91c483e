"""Downloads through torchvision: whole or not at all, progress on stderr, one line when there is no network."""

from __future__ import annotations

import contextlib
import http.client
import socket
import sys
import tempfile
import urllib.error
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.core.errors import BenchError

__all__ = ["NoNetworkError", "fetch"]

_SECONDS_WITHOUT_ANSWER = 20.0

_NETWORK_ERRORS = (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError, RecursionError)


class NoNetworkError(BenchError):
    """The data is not on this machine and could not be downloaded."""


def fetch(entry: str, *, into: Path, download: Callable[[Path], object], looked_in: str) -> None:
    """Download into a scratch folder, then move the finished `entry` into place.

    Args:
        entry: the file or folder that the download makes.
        into: where it shall lie in the end.
        download: downloads into the folder that it is given and checks what came.
        looked_in: where the data was looked for, for messages.

    Raises:
        NoNetworkError: if nothing, or something else, was received.
        BenchError: if it cannot be stored.
    """
    try:
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".bench-download-", dir=into) as scratch:
            with _patient_and_off_stdout():
                download(Path(scratch))
            _move(Path(scratch) / entry, into / entry)
    except (*_NETWORK_ERRORS, RuntimeError) as error:  # torchvision raises RuntimeError for a wrong checksum
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise NoNetworkError(
            f"{entry} is not in {looked_in} and could not be downloaded ({reason})."
            " Connect to the network, or name the folder that holds it with --data-dir."
        ) from error
    except OSError as error:
        raise BenchError(f"Cannot store {entry} in {into}: {error.strerror or error}.") from error


def _move(finished: Path, target: Path) -> None:
    """Rename; where another process was first with the same checked data, keep theirs."""
    if not target.exists():
        finished.rename(target)


@contextlib.contextmanager
def _patient_and_off_stdout() -> Iterator[None]:
    """Give up on a silent server, and keep torchvision's prints off stdout."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SECONDS_WITHOUT_ANSWER)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        socket.setdefaulttimeout(before)
