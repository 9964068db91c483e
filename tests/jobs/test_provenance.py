"""Where a row comes from."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from bench.jobs.provenance import collect_provenance, commit_of, provenance_of


def test_a_run_is_described() -> None:
    """The command as it can be pasted, a date in UTC, and the version of what decides."""
    provenance = collect_provenance(["bench", "run", "--model", "my model"])
    assert provenance.command == "bench run --model 'my model'"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", provenance.date)
    assert {"bench", "python", "torch"} <= set(provenance.versions)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("/home/someone/project/net.py:make", "net.py:make"),
        ("/home/someone/my runs/", "'my runs'"),
        ("/journal", "journal"),
        ("~/journal", "journal"),
        ("--journal=/home/someone/project/journal", "--journal=journal"),
        ("folder:/data/someone/images", "folder:images"),
        ("onnx:/data/net.onnx", "onnx:net.onnx"),
        ("runs/journal", "runs/journal"),
        ("../journal", "../journal"),
        ("Linf:8/255", "Linf:8/255"),
        ("1/8", "1/8"),
        ("hf:org/model", "hf:org/model"),
        ("http://host:8000/a/b", "http://host:8000/a/b"),
        ("/", "/"),
    ],
)
def test_a_command_names_no_folder_of_a_machine(given: str, kept: str) -> None:
    """Of an absolute path its last part is left; what can be repeated elsewhere is kept as given."""
    assert provenance_of(["bench", "run", given]).command == f"bench run {kept}"


def test_a_commit_is_found_and_changes_are_marked(tmp_path: Path) -> None:
    """A clean checkout has its commit, a changed one says so, a folder outside git has none."""

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    (tmp_path / "a.py").write_text("x = 1\n")
    assert commit_of(tmp_path) is None
    git("init", "-q")
    git("add", "a.py")
    git("commit", "-q", "-m", "first")
    commit = commit_of(tmp_path)
    assert commit is not None and re.fullmatch(r"[0-9a-f]{40}", commit)
    (tmp_path / "a.py").write_text("x = 2\n")
    assert commit_of(tmp_path) == f"{commit}-dirty"
