"""Regular files, and nothing else."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from bench.storage.path import place
from bench.storage.regular_file import open_regular, read_regular, sha256_of


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    """Up to the size that is allowed, through a link too."""
    (tmp_path / "file").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("file")
    for name in ("file", "link"):
        assert read_regular(tmp_path / name, most_bytes=3) == b"abc"
        with open_regular(tmp_path / name, most_bytes=3) as file:
            assert file.read() == b"abc"


def test_what_is_larger_is_refused_unread(tmp_path: Path) -> None:
    """A file of a tebibyte that takes no space costs no time either; the message has both sizes."""
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(OSError, match=r"it has 1,099,511,627,776 bytes, and at most 2 are read"):
        read_regular(tmp_path / "sparse", most_bytes=2)
    with pytest.raises(OSError, match=r"at most 2 are read"):
        open_regular(tmp_path / "sparse", most_bytes=2)


def test_what_says_no_size_is_held_to_it_all_the_same() -> None:
    """Files of the kernel's say that they are empty."""
    with pytest.raises(OSError, match=r"at most 2 are read"):
        read_regular(Path("/proc/self/status"), most_bytes=2)


def test_pipes_sockets_devices_and_folders_are_refused_at_once(tmp_path: Path) -> None:
    """None of them is waited for, and the message says what is there."""
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for path, kind in (
            (tmp_path / "pipe", "named pipe"),
            (tmp_path, "folder"),
            (Path("/dev/zero"), "device"),
        ):
            with pytest.raises(OSError, match=f"it is a {kind}, not a file"):
                read_regular(path, most_bytes=10)
        with pytest.raises(OSError):
            read_regular(tmp_path / "socket", most_bytes=10)


@pytest.mark.parametrize("name", ["a\0b", "half \ud800", "x" * 300])
def test_a_name_that_no_file_can_have(name: str, tmp_path: Path) -> None:
    """It is an error like that of a file that cannot be opened, not of another kind."""
    with pytest.raises(OSError) as caught:
        read_regular(tmp_path / name, most_bytes=10)
    assert caught.value.strerror


def test_what_is_not_there(tmp_path: Path) -> None:
    """A missing file is told apart."""
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "none", most_bytes=10)


def test_an_object_in_a_store_is_held_to_its_size(tmp_path: Path) -> None:
    """Its size is asked for before it is fetched."""
    path = place(f"memory://{tmp_path.name}/object")
    path.write_bytes(b"abc")  # type: ignore[attr-defined]
    assert read_regular(path, most_bytes=3) == b"abc"
    with pytest.raises(OSError, match="at most 2 are read"):
        read_regular(path, most_bytes=2)


def test_a_files_digest_is_that_of_sha256sum(tmp_path: Path) -> None:
    """The published test vector of SHA-256 for `abc`."""
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert sha256_of(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
