"""Durable writes."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from bench.core.errors import BenchError, WorkFailedError
from bench.storage.atomic_write import write_durably


def test_content_replaces_content_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """Folders are made, an old file is replaced, and no temporary file stays."""
    path = tmp_path / "a" / "b.json"
    write_durably(path, b"old")
    write_durably(path, b"new")
    assert path.read_bytes() == b"new"
    assert [child.name for child in path.parent.iterdir()] == ["b.json"]


def _failing_with(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)


def test_a_full_disk_is_work_that_failed_and_keeps_the_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 3, one line, the old content whole."""
    path = tmp_path / "row.json"
    path.write_bytes(b"old")
    _failing_with(errno.ENOSPC, monkeypatch)
    with pytest.raises(WorkFailedError, match="No space left") as caught:
        write_durably(path, b"new")
    assert caught.value.exit_code == 3 and "\n" not in str(caught.value)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_other_refusals_are_the_users_to_mend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2, with the reason and the path."""
    _failing_with(errno.EACCES, monkeypatch)
    with pytest.raises(BenchError, match=r"Cannot write .*row\.json: Permission denied") as caught:
        write_durably(tmp_path / "row.json", b"new")
    assert caught.value.exit_code == 2


def test_a_file_where_a_folder_is_needed_is_explained(tmp_path: Path) -> None:
    """The folder's name is taken by a file."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(BenchError, match="Cannot write"):
        write_durably(tmp_path / "taken" / "row.json", b"new")
