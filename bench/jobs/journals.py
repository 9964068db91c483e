"""The journals on this machine: what is kept, how large, of which run; and their removal."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from bench.core.errors import BenchError, UnknownNameError
from bench.evaluation import Header, peek
from bench.storage import LOCK, explain_write_errors, held

__all__ = ["Kept", "default_folder", "kept_in", "remove"]

_HEADER = "header.json"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One journal, with those of its parts.

    Args:
        path: its folder.
        name: its path below the folder that was looked through; "." for that itself.
        header: what it is for; None where that is damaged.
        n_entries: finished pieces of work, a stage on a chunk each.
        n_bytes: of all its files.
        modified: when it was last written, in seconds since 1970.
    """

    path: Path
    name: str
    header: Header | None
    n_entries: int
    n_bytes: int
    modified: float


def default_folder() -> Path:
    """Where journals lie for which the user names no folder."""
    return platformdirs.user_cache_path("bench", appauthor=False) / "journals"


def kept_in(root: Path) -> list[Kept]:
    """The journals in a folder, at any depth, the latest first; none where there is no such folder.

    Raises:
        BenchError: if a journal cannot be read.
    """
    return sorted((_look(path, root) for path in _journals(root)), key=lambda each: (-each.modified, each.name))


def remove(root: Path, names: Sequence[str]) -> list[Kept]:
    """Remove journals, and nothing but journals.

    Args:
        root: the folder that they lie in.
        names: as `kept_in` says them; none for all.

    Returns:
        What was removed.

    Raises:
        BenchError: if there is none of a name, in which case nothing is removed, or one is in use.
    """
    found = {each.name: each for each in kept_in(root)}
    unknown = next((name for name in names if name not in found), None)
    if unknown is not None:
        raise UnknownNameError(f"journal in {root}:", unknown, found)
    chosen = [found[name] for name in names] if names else list(found.values())
    for each in chosen:
        with explain_write_errors(each.path), held(each.path):
            # The header late, so that what an interruption leaves is still a journal, and what holds it at last.
            for inside in sorted(each.path.iterdir(), key=lambda path: (path.name == LOCK, path.name == _HEADER)):
                _delete(inside)
        each.path.rmdir()
    return chosen


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def _journals(root: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(root, onerror=_refuse):
        if _HEADER in files and (LOCK in files or peek(Path(here)) is not None):  # others have files of that name too
            folders.clear()  # the journals of its parts belong to it
            yield Path(here)


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise BenchError(f"Cannot read {error.filename}: {error.strerror or error}.") from error


def _stat(path: Path) -> os.stat_result | None:
    """None of a file that a run has renamed since."""
    try:
        return path.lstat()
    except FileNotFoundError:
        return None


def _look(path: Path, root: Path) -> Kept:
    files = [found for file in path.rglob("*") if not file.is_dir() and (found := _stat(file)) is not None]
    journal = peek(path)
    return Kept(
        path=path,
        name=path.relative_to(root).as_posix(),
        header=journal.header if journal is not None else None,
        n_entries=sum(file.parent.name != path.name and file.name != _HEADER for file in path.rglob("*/*.json")),
        n_bytes=sum(file.st_size for file in files),
        modified=max((file.st_mtime for file in files), default=0.0),
    )
