"""Several journals of one run on different examples, put together in one."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.errors import BenchError
from bench.evaluation.journal.header import Header, differences
from bench.evaluation.journal.journal import copy_entry, open_journal, peek
from bench.storage import Place, matching

__all__ = ["gather"]


def gather(sources: Sequence[Place], into: Place) -> Header:
    """Copy the entries of some journals, and of the journals of parts inside them, to another one.

    Damaged entries are left behind. A source that another process is still writing to gives what it has.

    Args:
        sources: folders of journals, at least one.
        into: the folder of the other journal; made where it is missing.

    Returns:
        The header that all of them have.

    Raises:
        BenchError: if a source is no journal, they are of different runs, or `into` is of another run.
    """
    header = _common_header(sources)
    with open_journal(into, header):
        for source in sources:
            for folder in _folders(source, journals=False):
                for entry in matching(folder, "*.json"):
                    copy_entry(entry, into / folder.name / entry.name)
    for name in sorted({folder.name for source in sources for folder in _folders(source, journals=True)}):
        gather([source / name for source in sources if (source / name).is_dir()], into / name)
    return header


def _common_header(sources: Sequence[Place]) -> Header:
    journals = [peek(source) for source in sources]
    headers: list[Header] = []
    for source, journal in zip(sources, journals, strict=True):
        if journal is None:
            raise BenchError(f"No journal in {source}. Run what belongs there, or remove the folder.")
        headers.append(journal.header)
        named = differences(headers[0], journal.header)
        if named:
            raise BenchError(f"Journals {sources[0]} and {source} are of different runs: {', '.join(named)}.")
    return headers[0]


def _folders(source: Place, *, journals: bool) -> list[Place]:
    """The folders in a journal: of stages, or of the journals of parts."""
    found = [child for child in matching(source, "*") if child.is_dir() and not child.is_symlink()]
    return sorted(child for child in found if (peek(child) is not None) is journals)
