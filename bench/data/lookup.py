"""Where data lies on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from bench.core.errors import BenchError
from bench.storage import expanded

__all__ = ["DATA_DIR_VARIABLE", "existing", "find", "folders", "listing"]

DATA_DIR_VARIABLE = "BENCH_DATA_DIR"


def folders(data_dir: Path | None) -> tuple[Path, ...]:
    """The folders to look in, in order; downloads go to the first.

    They are the folder that the user named, the one of the variable BENCH_DATA_DIR, and a folder
    in the user's cache (which alone need not exist yet).

    Raises:
        BenchError: if a folder that the user named does not exist.
    """
    named = [("--data-dir", data_dir), (DATA_DIR_VARIABLE, os.environ.get(DATA_DIR_VARIABLE) or None)]
    found = [existing(Path(value), origin) for origin, value in named if value is not None]
    return (*found, Path(platformdirs.user_cache_dir("bench", appauthor=False)) / "data")


def existing(folder: Path, origin: str = "--data-dir") -> Path:
    """A folder that the user named.

    Args:
        folder: the name; `~` is the home folder.
        origin: where the user named it, for the message.

    Raises:
        BenchError: if there is none.
    """
    folder = expanded(folder)
    if not folder.is_dir():
        raise BenchError(f"No such data folder: {folder} (from {origin}). Create it, or name the one that holds data.")
    return folder


def find(entry: str, *, data_dir: Path | None) -> Path | None:
    """The first of the folders that holds `entry`, a file or a folder; None if none does."""
    return next((folder for folder in folders(data_dir) if (folder / entry).exists()), None)


def listing(data_dir: Path | None) -> str:
    """The folders to look in, for a message."""
    return ", ".join(str(folder) for folder in folders(data_dir))
