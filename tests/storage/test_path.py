"""From what a user types to a place."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from bench.core.errors import BenchError
from bench.storage.path import place
from bench.storage.remote import RemotePath


def test_a_path_is_a_path_and_a_url_is_a_place_in_a_store() -> None:
    """`file://` is this machine too; slashes at the end do not count, a place stays as it is."""
    assert place("board/of:mine") == Path("board/of:mine")
    assert place("file:///data/board") == Path("/data/board")
    assert place("Memory://board/a/") == RemotePath("memory", "board/a")
    assert str(place("memory://board/a/")) == "memory://board/a"
    assert place(Path("x")) == Path("x") and place(RemotePath("memory", "x")) == RemotePath("memory", "x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file://data", "absolute path, such as file:///data/journal"),
        ("memory://", r"Expected a URL such as memory://bucket/folder, but got 'memory://'"),
        ("memory://a/../b", "Expected a URL such as"),
        ("memory://a//b", "Expected a URL such as"),
        ("s4://bucket/x", r"Unknown protocol 's4'\. Did you mean 's3'\?"),
    ],
)
def test_a_malformed_url_is_one_line(text: str, message: str) -> None:
    """What was expected, in one line, with exit code 2."""
    with pytest.raises(BenchError, match=message) as caught:
        place(text)
    assert "\n" not in str(caught.value) and caught.value.exit_code == 2


def test_a_password_is_refused_and_not_repeated() -> None:
    """Rows record the command that made them, and are published."""
    with pytest.raises(BenchError, match="without a user name") as caught:
        place("ftp://me:hunter2@host/board")
    assert "hunter2" not in str(caught.value)


def test_a_missing_package_is_named_with_the_command_that_installs_it() -> None:
    """Fsspec knows the protocol, but what implements it is not here."""
    fsspec.register_implementation("nowhere", "no_such_package.Store", clobber=True)
    with pytest.raises(BenchError, match=r"Cannot use nowhere://.* pip install no_such_package$") as caught:
        place("nowhere://bucket/x")
    assert caught.value.exit_code == 2


def test_a_home_folder_is_meant_by_its_sign(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A shell leaves it to the program after `=`, as in --leaderboard=~/board."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert place("~/board") == tmp_path / "board"
    with pytest.raises(BenchError, match="home folder that ~nobody-of-this-name"):
        place("~nobody-of-this-name/board")
