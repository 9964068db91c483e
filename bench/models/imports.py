"""The user's own modules that a Python file imports, directly or through others.

They are those that running the file imported, however it did, and those that `import` and `from` statements name
anywhere in it, in functions that have not run yet too. The standard library, installed packages and bench itself are
not the user's.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import importlib.util
import itertools
import sys
import sysconfig
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from types import ModuleType

__all__ = ["Sources", "imported_anew", "imported_by", "source_file_of"]

Sources = dict[str, Path]
"""Files of modules, by the modules' full names."""

_NOT_THE_USERS = {"__main__", "bench", "torch"}  # the last two also where they are run from a checkout
_INSTALLED = {"site-packages", "dist-packages"}
_LIBRARIES = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib"))


_brought: set[str] = set()
"""Names of the modules that `imported_anew` saw imported so far in this process."""


@contextlib.contextmanager
def imported_anew(path: Path) -> Iterator[Sources]:
    """Let the block run a file with its folder last on the import path, and say which of the user's modules it imports.

    They are run anew: what an earlier load, or the user's own script, imported under the same names is put aside, since
    it may be older than the last change, or lie beside another file.

    Args:
        path: of the file, resolved.

    Yields:
        The modules, which are there once the block has ended.
    """
    entry, added = str(path.parent), str(path.parent) not in sys.path
    if added:
        sys.path.append(entry)
    importlib.invalidate_caches()
    modules: Sources = {}
    named = imported_by([("", path)])
    _drop_stale_bytecode(named.values())
    imports = {_top(name) for name in named}
    aside = _put_aside(path.parent, imports)
    before = set(sys.modules)
    # What is not written cannot become stale: see `_drop_stale_bytecode`.
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield modules
        loaded = {name: own for name in set(sys.modules) - before if (own := source_file_of(name)) not in (None, path)}
        _brought.update(loaded)
        modules.update(loaded)
        modules.update(imported_by([("", path), *loaded.items()]))
    finally:
        sys.dont_write_bytecode = writes
        if added:
            sys.path.remove(entry)
        anew = imports | {_top(name) for name in aside if name in sys.modules}
        for name in sorted(aside):
            if _top(name) not in anew:
                _put_back(name, aside[name])


def _drop_stale_bytecode(sources: Iterable[Path]) -> None:
    """Remove what Python would run in place of a file that was changed within the second in which it was compiled.

    Python knows a file by its size and the second of its last change, which misses such an edit.
    """
    for source in sources:
        with contextlib.suppress(OSError, NotImplementedError):  # none there, or none is kept
            compiled = Path(importlib.util.cache_from_source(str(source)))
            if compiled.stat().st_mtime_ns < source.stat().st_mtime_ns:
                compiled.unlink()


def source_file_of(name: str) -> Path | None:
    """The file of the loaded module `name`, if it is one of the user's own."""
    return None if _top(name) in _NOT_THE_USERS else _own(getattr(sys.modules.get(name), "__file__", None))


def imported_by(files: Iterable[tuple[str, Path]]) -> Sources:
    """The user's modules that some files import, and those that these import, and so on.

    Args:
        files: each with the full name of the module that it is, which relative imports refer to.
    """
    found: Sources = {}
    pending = list(files)
    while pending:
        name, path = pending.pop()
        for imported in _imports(name, path):
            source = _find(imported) if imported not in found else None
            if source is not None:
                found[imported] = source
                pending.append((imported, source))
    return found


def _put_aside(folder: Path, packages: Collection[str]) -> dict[str, ModuleType]:
    """Take from Python those of the user's modules that lie in `folder`, are of `packages`, or were brought before."""
    places = {name: place for name in sorted(sys.modules) if (place := source_file_of(name) or _folder_of(name))}
    aside: dict[str, ModuleType] = {}
    for name, place in places.items():
        if place.is_relative_to(folder) or _top(name) in packages or name in _brought:
            aside[name] = sys.modules.pop(name)
            outer, _, leaf = name.rpartition(".")
            if outer in sys.modules and getattr(sys.modules[outer], leaf, None) is aside[name]:
                delattr(sys.modules[outer], leaf)
    return aside


def _folder_of(name: str) -> Path | None:
    """The folder of a loaded package without `__init__.py`, if all of it is the user's own."""
    module = sys.modules[name]
    if _top(name) in _NOT_THE_USERS or getattr(module, "__file__", None) is not None:
        return None
    try:
        folders = [_unless_installed(folder) for folder in getattr(module, "__path__", ())]
    except KeyError:  # the package around it is gone
        return None
    return folders[0] if folders and all(folders) else None


def _put_back(name: str, module: ModuleType) -> None:
    sys.modules[name] = module
    outer, _, leaf = name.rpartition(".")
    if outer in sys.modules:
        setattr(sys.modules[outer], leaf, module)


def _imports(name: str, path: Path) -> Iterator[str]:
    """Every module that a file may import: `from a.b import c` may import `a`, `a.b` and `a.b.c`."""
    try:
        nodes = list(ast.walk(ast.parse(path.read_bytes())))
    except (OSError, SyntaxError, ValueError):
        return  # whoever runs it is told
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    parents = package.split(".") if package else []
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _with_parents(alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = parents[: len(parents) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from _with_parents(module)
            yield from (f"{module}.{alias.name}".lstrip(".") for alias in node.names)


def _top(name: str) -> str:
    return name.partition(".")[0]


def _with_parents(name: str) -> Iterator[str]:
    yield from itertools.accumulate(name.split("."), "{}.{}".format)


def _find(name: str) -> Path | None:
    """The file that `import name` would run, if it is one of the user's own."""
    return None if _top(name) in _NOT_THE_USERS else _own(_located(name)[0])


def _located(name: str) -> tuple[str | None, list[str] | None]:
    """The file of a module, and where a package's modules lie.

    As `importlib.util.find_spec`, but it neither runs a package to look into it nor believes what is loaded already.
    """
    outer, _, leaf = name.rpartition(".")
    folders = _located(outer)[1] if outer else None
    if not leaf or (outer and folders is None):
        return None, None
    try:
        specs = (finder.find_spec(name, folders) for finder in sys.meta_path)
        spec = next((spec for spec in specs if spec is not None), None)
    except KeyError:  # a folder without __init__.py in another such, which Python finds only once that is loaded
        return None, [str(Path(folder) / leaf) for folder in folders or ()]
    if spec is None:
        return None, None
    inner = spec.submodule_search_locations
    return spec.origin, list(inner) if inner is not None else None


def _own(file: str | None) -> Path | None:
    return _unless_installed(file) if file is not None and file.endswith(".py") else None


@functools.cache
def _unless_installed(place: str) -> Path | None:
    path = Path(place).resolve()
    if _INSTALLED & set(path.parts) or any(path.is_relative_to(library) for library in _LIBRARIES):
        return None
    return path
