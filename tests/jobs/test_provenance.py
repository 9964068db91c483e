"""Where a row comes from."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from bench.jobs.provenance import collect_provenance, commit_of


def test_a_run_is_described() -> None:
    """The command as it can be pasted, a date in UTC, and the version of what decides."""
    provenance = collect_provenance(["bench", "run", "--model", "my model"])
    assert provenance.command == "bench run --model 'my model'"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", provenance.date)
    assert {"bench", "python", "torch"} <= set(provenance.versions)


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
