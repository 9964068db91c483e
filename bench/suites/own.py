"""A suite of the user's own: `path/to/file.py:ENTRY`. Its rows are kept and shown, and never ranked."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.core import digest
from bench.core.errors import BenchError
from bench.core.types import Attack
from bench.models import imported_anew, source_contents, value_in
from bench.row import OWN_SUITE
from bench.storage import expanded
from bench.suites.suite import AttackSuite

__all__ = ["load"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,60}")


def load(name: str) -> AttackSuite:
    """Run the file and take the suite that it holds, under a name that no suite of bench's has.

    Raises:
        BenchError: if there is no such file or entry, it fails, or what it holds is no suite.
    """
    file, _, entry = name.rpartition(":")
    path = expanded(Path(file)).resolve()
    if not file.endswith(".py") or not entry:
        raise BenchError(f"Expected a suite as path/to/file.py:ENTRY, but got {name!r}; add the name of the entry.")
    if not path.is_file():
        raise BenchError(f"No file {path} for suite {name!r}.")
    with imported_anew(path) as modules:
        found = value_in(path, entry, kind="suite")
    if not isinstance(found, AttackSuite):
        raise BenchError(f"Expected {name} to be an AttackSuite, but it is a {type(found).__name__}.")
    attacks: tuple[object, ...] = found.attacks
    strangers = [type(part).__name__ for part in attacks if not isinstance(part, Attack)]
    if strangers:
        raise BenchError(
            f"Expected {name} to hold attacks, but a {strangers[0]} is none: let it extend bench.attacks.SingleAttack"
            " (docs/adding-an-attack.md)."
        )
    names = [attack.name for attack in found.attacks]
    if not names or len(set(names)) < len(names):
        raise BenchError(f"Expected {name} to have attacks of different names, but got {', '.join(names) or 'none'}.")
    if not _NAME.fullmatch(found.name) or ".." in found.name or found.version < 1:
        raise BenchError(
            f"Expected {name} to have a name of small letters, digits, '-', '_' and '.', and a version of at least 1,"
            f" but got {found.name!r:.80} and {found.version}."
        )
    theirs = any(not type(part).__module__.startswith("bench.") for part in _parts(found))
    sources = digest.of_bytes(path.read_bytes(), *source_contents(modules)) if theirs else ""
    return dataclasses.replace(found, name=f"{OWN_SUITE}{found.name}", sources=sources)


def _parts(suite: AttackSuite) -> Iterator[Any]:
    """Every attack and every stage of one."""
    for attack in (*suite.attacks, *(each for rule in suite.rules for each in rule.attacks)):
        yield attack
        yield from attack.stages
