"""Files that somebody else may have put there: only regular ones are opened, and never more is read than was expected.

A pipe would wait for ever for somebody to write into it, a device never ends, and a file of terabytes is quickly made.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from pathlib import Path
from typing import BinaryIO

from bench.storage.path import Place

__all__ = ["MOST_WEIGHTS_BYTES", "open_regular", "read_regular", "sha256_of"]

MOST_WEIGHTS_BYTES = 64 << 30
"""No file of weights that bench reads is larger: 16 billion numbers in float32."""

_BLOCK = 1 << 20
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def open_regular(path: Path, *, most_bytes: int) -> BinaryIO:
    """Open a regular file for reading.

    Args:
        path: the file; a symbolic link to one will do.
        most_bytes: size above which it is refused.

    Raises:
        FileNotFoundError: if it is not there.
        OSError: if it is something else than a file, larger, or cannot be read; `strerror` says which.
    """
    try:
        # Without O_NONBLOCK, opening a pipe waits for whoever writes into it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError as error:  # a zero byte, or half of a surrogate pair
        raise OSError(errno.EINVAL, "no file can have this name", repr(str(path))) from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            kind = next((name for test, name in _KINDS if test(found.st_mode)), "something else")
            raise OSError(errno.EINVAL, f"it is {kind}, not a file", str(path))
        _expect_size(found.st_size, most_bytes, path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_regular(path: Place, *, most_bytes: int) -> bytes:
    """All of a regular file, or of an object in a store.

    Args:
        path: the file; a symbolic link to one will do.
        most_bytes: size above which it is refused unread.

    Raises:
        FileNotFoundError: if it is not there.
        OSError: if it is something else than a file, larger, or cannot be read; `strerror` says which.
        BenchError: if a store refuses.
    """
    if not isinstance(path, Path):
        _expect_size(path.stat().st_size, most_bytes, path)
        return path.read_bytes()
    with open_regular(path, most_bytes=most_bytes) as file:
        content = file.read(most_bytes + 1)
    _expect_size(len(content), most_bytes, path)  # it may have grown, or not have told
    return content


def sha256_of(path: Path) -> str:
    """SHA-256 of a regular file's bytes, as `sha256sum` prints it.

    Raises:
        OSError: see `open_regular`.
    """
    state = hashlib.sha256()
    with open_regular(path, most_bytes=MOST_WEIGHTS_BYTES) as file:
        while block := file.read(_BLOCK):
            state.update(block)
    return state.hexdigest()


def _expect_size(size: int, most_bytes: int, path: Place) -> None:
    if size > most_bytes:
        raise OSError(errno.EFBIG, f"it has {size:,} bytes, and at most {most_bytes:,} are read", str(path))
