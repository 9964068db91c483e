from __future__ import annotations

import errno
import sys
import urllib.error

import pytest

from bench.core.errors import BenchError
from bench.data import download


def fetch(into, action):
    download.fetch("x", into=into, download=action, looked_in="here")


def raising(error):
    def action(scratch):
        (scratch / "x").write_text("half")
        raise error

    return action


def test_moves_the_finished_download_into_place(tmp_path, capsys):
    """Only the finished entry stays, and nothing is printed on stdout."""

    def action(scratch):
        sys.stdout.write("progress\n")
        (scratch / "archive").touch()
        (scratch / "x").write_text("whole")

    fetch(tmp_path / "new", action)
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["x"]
    assert (tmp_path / "new" / "x").read_text() == "whole"
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "progress\n")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (urllib.error.URLError("no route\nto host"), download.NoNetworkError),
        (TimeoutError("timed out"), download.NoNetworkError),
        (RuntimeError("File not found or corrupted."), download.NoNetworkError),
        (OSError(errno.ENOSPC, "No space left on device"), BenchError),
    ],
)
def test_leaves_nothing_behind_when_it_fails(tmp_path, error, kind):
    """A failed download is one line of the right kind, and no half a file."""
    with pytest.raises(BenchError) as caught:
        fetch(tmp_path, raising(error))
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
