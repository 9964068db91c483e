"""What lies in folders, or one line that says why it cannot be told.

`Path.glob` passes over folders that it may not read, and `Path.exists` over what lies behind a file or a loop of links.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar, cast

from bench.core.errors import BenchError
from bench.storage.path import Place

__all__ = ["exists", "matching"]

_P = TypeVar("_P", bound=Place)


def exists(path: Place) -> bool:
    """Whether something is there.

    Raises:
        BenchError: if that cannot be told.
    """
    if not isinstance(path, Path):
        return path.exists()
    try:
        path.stat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise BenchError(f"Cannot read {path}: {error.strerror or error}.") from error
    return True


def matching(folder: _P, pattern: str) -> list[_P]:
    """The paths under a folder that fit a pattern such as `*/*.json`, part by part, sorted; none where it is not there.

    Raises:
        BenchError: if it is no folder, or it or a folder in it that may hold some cannot be read.
    """
    if not isinstance(folder, Path):
        if "/" in pattern:
            return sorted(folder.glob(pattern))
        # A store's glob finds objects alone, and no folders.
        return sorted(child for child in folder.iterdir() if fnmatchcase(child.name, pattern))
    return cast("list[_P]", sorted(_matching(folder, pattern.split("/"))))


def _matching(folder: Path, parts: Sequence[str]) -> list[Path]:
    found = _fitting(folder, parts[0])
    if found is None:
        raise BenchError(f"Cannot read {folder}: it is not a folder, or lies in none.")
    for part in parts[1:]:
        found = [inner for each in found for inner in _fitting(each, part) or ()]
    return found


def _fitting(folder: Path, pattern: str) -> list[Path] | None:
    """Those that lie directly in it; None where it is no folder."""
    try:
        return [path for path in folder.iterdir() if fnmatchcase(path.name, pattern)]
    except FileNotFoundError:
        return []
    except NotADirectoryError:
        return None
    except OSError as error:
        raise BenchError(f"Cannot read folder {folder}: {error.strerror or error}.") from error
