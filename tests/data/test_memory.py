"""Whether data fits into memory is said before it is read."""

from __future__ import annotations

import pytest

from bench.core.errors import BenchError
from bench.data import memory
from bench.data.memory import expect_to_fit


def test_what_does_not_fit_is_refused_with_both_sizes(monkeypatch):
    """A value takes its own bytes and those of what is made of it."""
    monkeypatch.setattr(memory, "_memory", lambda: 1 << 30)
    expect_to_fit((100, 3, 300, 300), source="mine.npz")
    with pytest.raises(BenchError, match=r"mine\.npz: it would take 1\.5 GiB of memory, but there are 1\.0\."):
        expect_to_fit((1 << 27,), itemsize=4, source="mine.npz")


def test_a_system_that_does_not_say_refuses_nothing(monkeypatch):
    """There the allocation itself fails."""
    monkeypatch.setattr(memory, "_memory", lambda: None)
    expect_to_fit((1 << 50,), source="mine.npz")


def test_the_memory_of_a_container_is_its_own(tmp_path, monkeypatch):
    """The smaller of the machine's and the control group's; "max" is none."""
    machine = memory._memory()
    assert machine is None or machine > 1 << 20
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_CGROUP", limit)
    limit.write_text("4096\n")
    assert memory._memory() == 4096
    limit.write_text("max\n")
    assert memory._memory() != 4096
