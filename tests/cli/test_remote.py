"""Commands on a journal and a leaderboard in a store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.storage.path import place
from bench.storage.remote import filesystem


def test_from_a_run_to_a_published_board(run, bench, memory: str, here: Path) -> None:
    """Run, run again, show, compare, publish, check, verify: all by URL; nothing is left in the working folder."""
    board, usual = f"{memory}/board", ("--journal", f"{memory}/journal", "--leaderboard", f"{memory}/board")
    first = run(*usual)
    assert first.code == 0 and f"Row written: {board}/quick-v1/digits/Linf-1_10/" in first.out, first.err
    again = run(*usual, "--json")
    assert json.loads(again.out)["outcome"] == "reproduces"
    path = json.loads(again.out)["path"]
    stages = {each.parent.name for each in place(f"{memory}/journal").glob("*/*.json")}
    assert {"clean", "fgsm", "pgd-20", "apgd-ce"} <= stages
    for words in (("show",), ("compare", path, path), ("publish",), ("publish", "--check"), ("check",)):
        done = bench(*words, "--leaderboard", board)
        assert done.code == 0, done.err
    assert (place(board) / "index.html").is_file()
    assert bench("verify", path, "--model", "nets.py:good", "--leaderboard", board).code == 0
    assert sorted(each.name for each in here.iterdir() if each.name != "__pycache__") == ["nets.py"]


@pytest.mark.parametrize("option", ["--journal", "--leaderboard"])
def test_a_place_that_cannot_be_used_is_one_line(run, option: str) -> None:
    """Before anything runs."""
    done = run(option, "s5://bucket/x")
    assert done.code == 2 and "Unknown protocol 's5'" in done.message


def test_a_store_that_refuses_is_found_before_the_work(run, memory: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No permission is exit code 2, no answer is 3; nothing was evaluated."""
    for error, code in ((PermissionError("Access Denied"), 2), (ConnectionError("no route"), 3)):

        def refuse(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(filesystem("memory"), "pipe_file", refuse)
        done = run("--leaderboard", f"{memory}/board")
        assert done.code == code and f"write {memory}/board" in done.message
        assert not Path("journal").exists()
