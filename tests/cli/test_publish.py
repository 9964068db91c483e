"""`bench publish`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
# As on a machine that has neither torch nor git, a network nor a clock.
BARE = """
import socket, sys
sys.modules["torch"] = None
socket.socket = None
from bench.cli.main import app
sys.argv = ["bench", *sys.argv[1:]]
app()
"""


@pytest.fixture
def board(tmp_path):
    """The committed rows and their evidence, without their pages."""
    for path in (each for kind in ("*.json", "*.npz") for each in (ROOT / "leaderboard").rglob(kind)):
        target = tmp_path / "board" / path.relative_to(ROOT / "leaderboard")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return tmp_path / "board"


def test_publishing_needs_nothing_but_the_rows(board, tmp_path):
    """No torch, no program on the path, no network."""
    words = ["publish", "--leaderboard", str(board), "--json"]
    done = subprocess.run(
        [sys.executable, "-c", BARE, *words],
        capture_output=True,
        text=True,
        cwd=ROOT if (ROOT / "bench").is_dir() else tmp_path,
        env={"PATH": str(tmp_path)},
        check=True,
    )
    value = json.loads(done.stdout)
    assert value["rows"] == len(list(board.glob("*/*/*/*.json"))) and "index.html" in value["written"]
    assert (board / "index.html").stat().st_size < 4_000_000


def test_publish_tells_what_it_did_and_check_finds_what_differs(bench, board):
    """Written, then unchanged; a touched page is exit 1, in one line with the remedy."""
    words = ("publish", "--leaderboard", str(board))
    assert "written: README.md" in bench(*words).out
    assert " 0 pages written" in bench(*words).out
    assert bench(*words, "--check").out == "Every page is what the rows say.\n"
    (board / "README.md").write_text("")
    found = bench(*words, "--check", "--json")
    assert found.code == 1 and found.message.endswith("`bench publish` makes the pages again.")
    assert json.loads(found.out) == {"outdated": ["README.md differs from the rows"]}
    assert (board / "README.md").read_text() == ""


def test_no_rows_are_a_users_error(bench):
    """One line, exit 2."""
    found = bench("publish", "--leaderboard", "nowhere")
    assert found.code == 2 and "No rows in nowhere" in found.message
