"""A registry: names to things, filled once, never silently overwritten."""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from typing import Generic, TypeVar

from bench.core.errors import BenchError, UnknownNameError
from bench.core.plain_text import reason_of

__all__ = ["Registry"]

T = TypeVar("T")


class Registry(Generic[T]):
    """Named things of one kind, found by scanning the modules of a package.

    Every module of `package` that defines the module-level constant `constant` adds that
    value (or each value of that tuple); so adding a thing is adding a file. The scan happens
    at the first look-up.

    Args:
        kind: what it holds, in the singular, for messages ("model").
        package: dotted name of the package to scan, or None for a registry filled by `add`.
        constant: the module-level name that holds the entry.
        key: the attribute of an entry that is its name.
        group: of the entry points through which other installed packages add entries, or None.
    """

    def __init__(
        self,
        kind: str,
        package: str | None = None,
        constant: str = "ENTRY",
        key: str = "name",
        group: str | None = None,
    ) -> None:
        self.kind = kind
        self._package = package
        self._constant = constant
        self._key = key
        self._group = group
        self._entries: dict[str, T] = {}
        self._scanned = package is None

    def add(self, name: str, entry: T) -> None:
        """Add `entry` under `name`.

        Raises:
            ValueError: if the name is taken, or the same object is already there.
        """
        if name in self._entries:
            raise ValueError(f"Expected a new {self.kind} name, but {name!r} is taken by {self._entries[name]!r}.")
        for other, known in self._entries.items():
            if known is entry:
                raise ValueError(f"Expected a new {self.kind}, but this one is registered as {other!r}.")
        self._entries[name] = entry

    def get(self, name: str) -> T:
        """Return the entry called `name`.

        Raises:
            UnknownNameError: if there is none; the message has the nearest name.
        """
        self._scan()
        if name not in self._entries:
            raise UnknownNameError(self.kind, name, self._entries)
        return self._entries[name]

    def names(self) -> tuple[str, ...]:
        """All names, sorted."""
        self._scan()
        return tuple(sorted(self._entries))

    def __contains__(self, name: str) -> bool:
        self._scan()
        return name in self._entries

    def __iter__(self) -> Iterator[T]:
        return (self._entries[name] for name in self.names())

    def _scan(self) -> None:
        if self._scanned or self._package is None:
            return
        package = importlib.import_module(self._package)
        found = Registry[T](self.kind)
        for module_info in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{self._package}.{module_info.name}")
            entries = getattr(module, self._constant, ())
            for entry in entries if isinstance(entries, tuple) else (entries,):
                found.add(getattr(entry, self._key), entry)
        for point in importlib.metadata.entry_points(group=self._group) if self._group is not None else ():
            self._add_from(point, found)
        for name in found.names():
            self.add(name, found.get(name))
        self._scanned = True

    def _add_from(self, point: EntryPoint, found: Registry[T]) -> None:
        """Add what another package has.

        Raises:
            BenchError: if it cannot be loaded, or takes the name of another.
        """
        try:
            entry = point.load()
            found.add(getattr(entry, self._key), entry)
        except Exception as error:  # of the other package's code
            owner = point.dist.name if point.dist is not None else point.value
            raise BenchError(
                f"The {self.kind} {point.name!r} of package {owner!r} cannot be used ({reason_of(error)}): mend or"
                " uninstall it."
            ) from error
