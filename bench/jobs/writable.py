"""Find out that a folder cannot be written before hours of work, not after."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from bench.core.errors import BenchError
from bench.storage.place import Place
from bench.storage.remote import RemotePath

__all__ = ["check_writable"]


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
