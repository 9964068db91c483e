"""Where models come from: one file per source, found by the form of a name."""

from __future__ import annotations

from bench.core.errors import BenchError, nearest
from bench.core.registry import Registry
from bench.models.sources.source import Source, Wanted

__all__ = ["SOURCES", "Source", "Wanted", "known_forms", "source_of"]

SOURCES: Registry[Source] = Registry("source of models", "bench.models.sources")


def source_of(name: str) -> Source:
    """The source that a model's name belongs to; prefixes come first.

    Raises:
        BenchError: if no source has names of that form.
    """
    ordered = sorted(SOURCES, key=lambda each: each.matches is not None)
    found = next((each for each in ordered if each.takes(name)), None)
    if found is None:
        raise BenchError(f"Unknown source of model {name!r}.{known_forms(name)}")
    return found


def known_forms(name: str) -> str:
    """The forms of models' names for a message, after the nearest prefix to that of `name`."""
    prefix, _, rest = name.partition(":")
    close = nearest(prefix, [each.name for each in SOURCES if each.matches is None])
    hint = f" Did you mean '{close}:{rest}'?" if close else ""
    return f"{hint} Known: {', '.join(each.form for each in SOURCES)}."
