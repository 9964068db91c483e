"""Digests: the same content gives the same hexadecimal string on every machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

__all__ = ["of_bytes", "of_content", "of_json", "of_packages", "of_sources"]


def of_bytes(*parts: bytes) -> str:
    """SHA-256 over `parts`, each preceded by its length so that boundaries count.

    >>> of_bytes(b"ab", b"c") == of_bytes(b"a", b"bc")
    False
    """
    state = hashlib.sha256()
    for part in parts:
        state.update(len(part).to_bytes(8, "little"))
        state.update(part)
    return state.hexdigest()


def of_content(content: bytes) -> str:
    """Plain SHA-256 of some bytes: what `sha256sum` prints for a file of them."""
    return hashlib.sha256(content).hexdigest()


def of_json(value: Any) -> str:
    """SHA-256 of the canonical JSON of `value`: keys sorted, no spaces, no NaN.

    >>> of_json({"b": 1, "a": 2}) == of_json({"a": 2, "b": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def of_sources(paths: Iterable[Path]) -> str:
    """Digest of source files, by name and content, in sorted order."""
    return of_bytes(*(part for path in sorted(paths) for part in (path.name.encode(), path.read_bytes())))


def of_packages(*names: str) -> str:
    """Digest of all sources of packages of bench, such as "attacks"."""
    package = Path(__file__).resolve().parents[1]
    return of_sources(path for name in names for path in (package / name).rglob("*.py"))
