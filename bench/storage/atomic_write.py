"""Files that are there whole or not at all, even if the power fails while they are written; and whether they can be."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.core.errors import BenchError, WorkFailedError
from bench.storage.path import Place
from bench.storage.remote import RemotePath

__all__ = [
    "check_writable",
    "explain_write_errors",
    "remove_unfinished",
    "write_durably",
    "write_together",
]

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def write_durably(path: Place, content: bytes) -> None:
    """Write `content` to `path`: on this machine a temporary file, fsync, rename; in a store one request.

    Args:
        path: the file; missing folders are made.
        content: its bytes.

    Raises:
        WorkFailedError: if the disk or the store is full, or the store does not answer.
        BenchError: if writing there is not allowed or fails otherwise.
    """
    if isinstance(path, RemotePath):
        path.write_bytes(content)
    elif isinstance(path, Path):
        write_together({path: content})
    else:
        raise TypeError(f"Expected `path` to be a path or in a store, but got {path!r}.")


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write files of this machine that belong together: all are durable before the first gets its name.

    Args:
        contents: the bytes of each file; missing folders are made.

    Raises:
        WorkFailedError: if the disk is full; what was there before is kept.
        BenchError: if writing there is not allowed or fails otherwise.
    """
    with contextlib.ExitStack() as stack:
        prepared = [(stack.enter_context(_prepared(path, content)), path) for path, content in contents.items()]
        for temporary, path in prepared:
            with explain_write_errors(path):
                temporary.replace(path)
                _sync_folder(path.parent)


@contextlib.contextmanager
def _prepared(path: Path, content: bytes) -> Iterator[Path]:
    """A new file beside `path` that holds the content durably; removed at the end where it was not renamed."""
    with explain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with explain_write_errors(path), os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            temporary.chmod(0o644)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def remove_unfinished(folder: Path, pattern: str) -> None:
    """Remove what killed writers left of the files that fit a pattern; for who knows that no writer is at work.

    Args:
        folder: where to look.
        pattern: of the files' paths in it, such as `*/*.json`.
    """
    head, slash, name = pattern.rpartition("/")
    for path in folder.glob(f"{head}{slash}.{name}.????????.tmp"):
        with contextlib.suppress(OSError):  # left for the next one
            path.unlink()


@contextlib.contextmanager
def explain_write_errors(path: Place) -> Iterator[None]:
    """Turn an operating system's refusal to write `path` into one line that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise WorkFailedError(
                f"No space left to write {path}. What was finished is kept:"
                " free some space and run the same command again."
            ) from error
        reason = error.strerror or str(error)
        raise BenchError(f"Cannot write {path}: {reason}. Choose a folder that you may write to.") from error


def _sync_folder(folder: Path) -> None:
    """Make renames in a folder durable; Windows knows no such thing."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_writable(folder: Place) -> None:
    """Refuse a folder that could not be made or written; nothing is made.

    A store cannot be asked; there, an empty object is written and removed.

    Raises:
        BenchError: naming the nearest folder that exists, or what the store says, and why it will not do.
        WorkFailedError: if the store does not answer.
    """
    if isinstance(folder, RemotePath):
        attempt = folder / f".writable-{secrets.token_hex(8)}"
        attempt.write_bytes(b"")
        attempt.unlink()
    elif isinstance(folder, Path):
        _check_local(folder)


def _check_local(folder: Path) -> None:
    nearest = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not nearest.is_dir():
        kind = "file" if nearest.exists() else "link to nothing"
        raise BenchError(f"Cannot write {folder}: {nearest} is a {kind}, not a folder. Choose another folder.")
    # Ask for the user that writes, not for the one that started the program, where the system can tell them apart.
    effective = os.access in os.supports_effective_ids
    if not os.access(nearest, os.W_OK | os.X_OK, effective_ids=effective):
        raise BenchError(f"Cannot write {folder}: no permission in {nearest}. Choose a folder that you may write to.")
