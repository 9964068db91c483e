"""Paths of a board that lead through no symbolic link."""

from __future__ import annotations

from bench.core.errors import BenchError
from bench.storage.place import Place

__all__ = ["checked"]


def checked(root: Place, path: Place) -> Place:
    """The path, if nothing between it and `root` is a symbolic link.

    Raises:
        BenchError: if something is.
    """
    for step in (path, *path.parents):
        if step == root:
            break
        if step.is_symlink():
            raise BenchError(f"Cannot use {path}: {step} is a symbolic link. Put a real file or folder there.")
    return path
