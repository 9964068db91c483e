"""The registry."""

from __future__ import annotations

import importlib.metadata
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.core.errors import BenchError, UnknownNameError
from bench.core.registry import Registry


class _Thing:
    def __init__(self, name: str) -> None:
        self.name = name


def test_names_are_sorted_and_found() -> None:
    """What is added can be asked for, listed and iterated."""
    registry: Registry[_Thing] = Registry("thing")
    second, first = _Thing("b"), _Thing("a")
    registry.add("b", second)
    registry.add("a", first)
    assert registry.names() == ("a", "b")
    assert registry.get("b") is second
    assert list(registry) == [first, second]
    assert "a" in registry and "c" not in registry


def test_a_taken_name_and_a_second_name_are_refused() -> None:
    """Nothing is overwritten, and nothing is there twice."""
    registry: Registry[_Thing] = Registry("thing")
    thing = _Thing("a")
    registry.add("a", thing)
    with pytest.raises(ValueError, match="'a' is taken"):
        registry.add("a", _Thing("a"))
    with pytest.raises(ValueError, match="registered as 'a'"):
        registry.add("b", thing)


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    """The error is the user's, with a suggestion."""
    registry: Registry[_Thing] = Registry("thing")
    registry.add("alpha", _Thing("alpha"))
    with pytest.raises(UnknownNameError, match="Did you mean 'alpha'"):
        registry.get("alpah")


def test_a_folder_is_scanned_for_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adding a thing is adding a file: one entry, a tuple of entries, or none."""
    folder = tmp_path / "scanned_things"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "kind.py").write_text("from types import SimpleNamespace as Thing\n")
    (folder / "one.py").write_text("from scanned_things.kind import Thing\nENTRY = Thing(name='one')\n")
    (folder / "two.py").write_text(
        "from scanned_things.kind import Thing\nENTRY = (Thing(name='two'), Thing(name='three'))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    registry: Registry[_Thing] = Registry("thing", "scanned_things")
    assert registry.names() == ("one", "three", "two")
    for name in [name for name in sys.modules if name.startswith("scanned_things")]:
        monkeypatch.delitem(sys.modules, name)


def test_other_packages_add_entries_through_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """Found at the first look-up; one that fails, or takes a name, is said with its package in one line."""

    def found(*values: str) -> Registry[object]:
        points = [EntryPoint(name=f"their-{place}", value=value, group="g") for place, value in enumerate(values)]
        monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: points if group == "g" else [])
        return Registry("thing", "bench.attacks", group="g")

    monkeypatch.setattr("bench.attacks.THEIRS", SimpleNamespace(name="theirs"), raising=False)
    monkeypatch.setattr("bench.attacks.TAKEN", SimpleNamespace(name="fgsm"), raising=False)
    assert "theirs" in found("bench.attacks:THEIRS").names()
    for value in ("bench.attacks:TAKEN", "bench.attacks:NONE", "no_such.thing:X"):
        with pytest.raises(BenchError, match="their-0") as caught:
            found(value).names()
        assert "mend or uninstall" in str(caught.value)
