"""`bench journal`: what is kept, and what removal leaves alone."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from bench.jobs.journals import remove
from bench.storage import held


@pytest.fixture
def kept(run, here, monkeypatch):
    """Two journals in a folder, with a file beside them."""
    for name in ("one", "two"):
        words = ["--samples", "8", "--seed", str(len(name)), "--journal", f"runs/{name}", "--no-row"]
        monkeypatch.setattr("sys.argv", ["bench", "run", "--model", "nets.py:good", "--dataset", "digits", *words])
        assert run(*words).code == 0
    (here / "runs" / "notes.txt").write_text("mine")
    return here / "runs"


def test_what_is_kept_is_listed_with_the_command_that_goes_on_with_it(bench, kept, here):
    """Size, entries of finished work, and words that can be pasted."""
    done = bench("journal", "list", "--journal", "runs")
    assert done.code == 0 and "2 in runs: " in done.out and " kB" in done.out
    found = {each["name"]: each for each in json.loads(bench("journal", "list", "--journal", "runs", "--json").out)}
    assert set(found) == {"one", "two"}
    for name, each in found.items():
        assert each["entries"] == len([*(kept / name).glob("*/*.json")]) > 2
        assert each["bytes"] == sum(path.stat().st_size for path in (kept / name).rglob("*") if path.is_file())
        words = shlex.split(each["header"]["command"])
        assert words[:4] == ["cd", str(here), "&&", "bench"] and f"runs/{name}" in words


def test_a_journal_is_removed_and_nothing_else(bench, kept):
    """By its name; then all; a file that lies beside them stays."""
    assert bench("journal", "remove", "one", "--journal", "runs").code == 0
    assert sorted(path.name for path in kept.iterdir()) == ["notes.txt", "two"]
    with held(kept / "two"):
        refused = bench("journal", "remove", "--all", "--journal", "runs")
    assert refused.code == 2 and "in use" in refused.message and (kept / "two" / "header.json").exists()
    assert bench("journal", "remove", "--all", "--journal", "runs").code == 0
    assert [path.name for path in kept.iterdir()] == ["notes.txt"]
    assert bench("journal", "list", "--journal", "runs").out.startswith("No journals in runs")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("remove",), "Say which journals"),
        (("remove", "x", "--all"), "Say which journals"),
        (("remove", "../x"), "Unknown journal"),
        (("list", "x"), "leave NAME and --all out"),
    ],
)
def test_what_is_refused(bench, here, words, says):
    """One line; no path leads out of the folder."""
    (here / "runs").mkdir()
    (here / "x").mkdir()
    (here / "x" / "header.json").write_text("{}")
    done = bench("journal", *words, "--journal", "runs")
    assert done.code == 2 and says in done.message and (here / "x" / "header.json").exists()


def test_a_damaged_journal_is_listed_and_can_be_removed(bench, here):
    """Its header says nothing any more; a folder of another program's with a file of that name is none."""
    (here / "runs" / "bad" / "fgsm").mkdir(parents=True)
    (here / "runs" / "bad" / "header.json").write_text("{")
    (here / "runs" / "bad" / ".lock").touch()
    (here / "runs" / "other").mkdir()
    (here / "runs" / "other" / "header.json").write_text("{}")
    assert "its header is damaged" in bench("journal", "list", "--journal", "runs").out
    assert bench("journal", "remove", "--all", "--journal", "runs").code == 0
    assert [path.name for path in (here / "runs").iterdir()] == ["other"]


def test_a_journal_in_a_store_is_not_looked_for_in_a_folder(bench, here):
    """One line, and nothing is called removed."""
    for words in (("list",), ("remove", "--all")):
        done = bench("journal", *words, "--journal", "memory://bucket/runs")
        assert done.code == 2 and "memory://bucket/runs" in done.message and "name a folder" in done.message


def test_files_that_a_run_renames_meanwhile_are_no_fault(bench, kept, monkeypatch):
    """An entry is written beside its place and moved there, while the list looks."""
    seen = Path.lstat
    gone = next((kept / "one").glob("*/*.json"))

    def look(path):
        if path == gone:
            raise FileNotFoundError(2, "No such file", str(path))
        return seen(path)

    monkeypatch.setattr(Path, "lstat", look)
    assert "2 in runs" in bench("journal", "list", "--journal", "runs").out


def test_what_holds_a_journal_is_removed_last(kept, monkeypatch):
    """Before it is gone nobody else may write where files are being removed."""
    order, unlink = [], Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda path, **options: (order.append(path.name), unlink(path, **options)))
    remove(kept, ["one"])
    assert order[-2:] == ["header.json", ".lock"]
