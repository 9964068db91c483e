"""`bench analyze` as a user types it."""

from __future__ import annotations

import json
import os

import pytest


@pytest.fixture
def analyze(bench):
    """Call it on few digits with a model of the user's own."""

    def call(*words):
        return bench("analyze", *words, "--dataset", "digits", "--samples", "6", "--journal", "journal")

    return call


def test_json_is_all_there_is_on_stdout(analyze, here):
    """Without rows the quick suite runs, and says so on stderr."""
    result = analyze("curve", "--model", "nets.py:talkative", "--suite", "quick-v1", "--json")
    assert result.code == 0, result.err
    value = json.loads(result.out)
    assert value["report"]["analysis"] == "curve"
    assert all((here / path).is_file() for path in [value["path"], *value["figures"]])
    assert "No row of quick-v1 for nets.py:talkative" in result.err
    assert "part 1 of 1" in result.err


def test_text_has_tables_claims_and_files(analyze, here):
    """And a page where one is asked for."""
    result = analyze("curve", "--model", "nets.py:good", "--output", "found", "--page", "page.md", "--quiet")
    assert result.code == 0, result.err
    assert result.err == ""
    assert "nets.py:good  quick-v1" in result.out
    assert "holds: At the suite's epsilon" in result.out
    assert "Written: found/curve-digits.json" in result.out
    assert "## curve: digits" in (here / "page.md").read_text()


def test_any_name_of_a_model_can_be_drawn(analyze, here):
    """A byte outside UTF-8 becomes an escape, and dollars are no formula."""
    path = here / os.fsdecode(b"$\\fr\xff$.py")
    path.write_bytes((here / "nets.py").read_bytes())
    result = analyze("curve", "--model", f"{path.name}:good", "--suite", "quick-v1", "--json")
    assert result.code == 0, result.err
    value = json.loads(result.out)
    assert "udcff" in json.dumps(value["report"]) and value["figures"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("filtres", "--model", "pgd-at"), "Did you mean 'filters'?"),
        (("filters", "--model", "pgd-at"), "needs 2 models, but got 1"),
        (("curve", "--model", "no-such"), "Unknown model 'no-such'"),
        (("curve", "--model", "nets.py:raises"), "no such layer"),
    ],
)
def test_a_users_mistake_is_one_line(analyze, here, words, message):
    """Exit code 2, nothing on stdout, no folder."""
    result = analyze(*words)
    assert (result.code, result.out) == (2, "")
    assert message in result.message
    assert not (here / "analyses").exists()


def test_no_samples_are_the_users_error(bench):
    """Zero examples cannot be looked at."""
    result = bench("analyze", "curve", "--model", "pgd-at", "--dataset", "digits", "--samples", "0")
    assert result.code == 2
    assert "at least 1 sample, but got 0" in result.message
