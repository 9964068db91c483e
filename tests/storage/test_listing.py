"""A folder that cannot be read is an error, not an empty one."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.core.errors import BenchError
from bench.storage.atomic_write import write_durably
from bench.storage.listing import exists, matching
from bench.storage.path import place


@pytest.mark.parametrize("remote", [False, True])
def test_paths_are_matched_part_by_part(tmp_path: Path, memory: str, remote: bool) -> None:
    """As by glob, here and in a store: sorted, files between folders passed over, nothing where there is no folder."""
    root = place(memory if remote else tmp_path)
    for name in ("b/2.json", "a/1.json", "a/1.txt", "a/deep/3.json", "4.json"):
        write_durably(root / name, b"")
    assert matching(root, "*/*.json") == [root / "a" / "1.json", root / "b" / "2.json"]
    assert matching(root, "*") == [root / "4.json", root / "a", root / "b"]
    assert matching(root / "nowhere", "*") == matching(root / "nowhere", "*/*") == []
    assert exists(root / "a") and exists(root / "4.json") and not exists(root / "nowhere")


def test_a_file_or_a_loop_in_place_of_a_folder_is_named(tmp_path: Path) -> None:
    """Neither is an empty folder."""
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    for name in ("file", "file/below"):
        with pytest.raises(BenchError, match="it is not a folder"):
            matching(tmp_path / name, "*")
    with pytest.raises(BenchError, match=r"Cannot read folder .*loop: Too many levels"):
        matching(tmp_path / "loop", "*")
    for name in ("file/below", "loop"):
        with pytest.raises(BenchError, match="Cannot read"):
            exists(tmp_path / name)
    assert exists(tmp_path / "file") and not exists(tmp_path / "nowhere")


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
def test_what_the_system_refuses_is_told(
    tmp_path: Path, refuse_to_list: Callable[[Path, int], None], code: int
) -> None:
    """For the folder and for one inside it."""
    (tmp_path / "a").mkdir()
    refuse_to_list(tmp_path / "a", code)
    with pytest.raises(BenchError, match=f"Cannot read folder .*a: {os.strerror(code)}") as caught:
        matching(tmp_path, "*/*.json")
    assert caught.value.exit_code == 2
