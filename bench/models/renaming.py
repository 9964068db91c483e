"""What wrappers and training scripts do to the names in a state dict, undone by rule: a prefix that makes them fit."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

__all__ = ["StateDictView", "views"]

_IN_BETWEEN = ("module", "_orig_mod")
"""What DataParallel and torch.compile put into names, wherever they stand in a network."""


class StateDictView(NamedTuple):
    """Some entries of a state dict under other names.

    Attributes:
        prefix: what was taken away from the names in the file, less what wrappers put in between.
        entries: by their new names.
        outside: names in the file of all other entries.
    """

    prefix: str
    entries: Mapping[str, Any]
    outside: tuple[str, ...]


def views(state: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[StateDictView]:
    """The entries of `state` under the names that they may have had in a network that wants other names.

    First all as they are; then without each prefix under which wanted names stand, the fullest first; and without what
    every name starts with, since a network may translate names that are none of its own.

    Args:
        state: what a file holds.
        wanted: a network's own state dict.
    """
    yield StateDictView("", state, ())
    ours, theirs = _shortened(wanted), _shortened(state)
    if len(ours) < len(wanted) or len(theirs) < len(state):  # a wrapper's word tells two names apart
        ours, theirs = {key: key for key in wanted}, {key: key for key in state}
    hits = Counter(prefix for name in theirs for prefix, rest in _splits(name) if rest in ours)
    full = tuple(f"{prefix}." for prefix, count in hits.items() if prefix and count == len(ours))
    for prefix in sorted({"", *hits, *_shared(list(theirs))}, key=lambda each: (-hits[each], len(each), each)):
        start = f"{prefix}." if prefix else ""
        deeper = tuple(each for each in full if each.startswith(start) and each != start)
        under = [name for name in theirs if name.startswith(start) and not name.startswith(deeper)]
        entries = {ours.get(rest, rest): state[theirs[name]] for name in under for rest in [name.removeprefix(start)]}
        if prefix or entries.keys() != state.keys():
            chosen = {theirs[name] for name in under}
            yield StateDictView(prefix, entries, tuple(key for key in state if key not in chosen))


def _shortened(names: Mapping[str, Any]) -> dict[str, str]:
    """Every name by what is left of it without what wrappers put in between."""
    return {".".join(part for part in name.split(".") if part not in _IN_BETWEEN): name for name in names}


def _splits(name: str) -> Iterator[tuple[str, str]]:
    """The name in two, at every point."""
    parts = name.split(".")
    return ((".".join(parts[:n]), ".".join(parts[n:])) for n in range(len(parts)))


def _shared(names: Sequence[str]) -> list[str]:
    """What every name starts with, from short to long, in whole parts."""
    columns = zip(*(name.split(".")[:-1] for name in names), strict=False)
    same = [column[0] for column in itertools.takewhile(lambda column: len(set(column)) == 1, columns)]
    return [".".join(same[: n + 1]) for n in range(len(same))]
