from __future__ import annotations

import pytest

from bench.cli.layout import shortened, table, wrapped


@pytest.fixture
def terminal(monkeypatch):
    """Make stdout a terminal of so many columns."""

    def make(columns):
        monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
        monkeypatch.setenv("COLUMNS", str(columns))

    return make


def test_names_that_look_like_numbers_stay_as_they_are():
    """A table shows what it is given."""
    assert table(["name"], [["1e3"]]).splitlines()[-1] == "1e3"


def test_a_table_is_as_wide_as_the_terminal(terminal):
    """What does not fit goes on in the next line of its cell; a file or a pipe has all of it in one."""
    rows = [["first", "a sentence of several words"], ["second", "漢字"]]
    assert table(["name", "says"], rows).splitlines()[2] == "first   a sentence of several words"
    terminal(24)
    lines = table(["name", "says"], rows).splitlines()
    assert max(map(len, lines)) <= 24
    assert [line.split() for line in lines[2:4]] == [["first", "a", "sentence", "of"], ["several", "words"]]


def test_a_table_that_does_not_fit_is_a_list(terminal):
    """No word is broken and no column is too narrow to read: each row is an entry, each cell has its header."""
    rows = [["a-name-of-some-length", "one two three", "four five six"], ["other", "", "seven"]]
    terminal(30)
    assert table(["name", "first", "second"], rows).splitlines() == [
        "a-name-of-some-length",
        "  first   one two three",
        "  second  four five six",
        "other",
        "  second  seven",
    ]


def test_columns_in_common_become_headings(terminal):
    """Before a list, a table under each heading; a wide terminal has one table."""
    rows = [["same", "first", "1"], ["same", "second", "2"], ["else", "third", "3"]]
    headers = ["what all of them have", "name", "number"]
    terminal(20)
    shown = table(headers, rows, right=("number",), shared=1)
    assert [line for line in shown.splitlines() if line.split() in (["same"], ["else"])] == ["same", "else"]
    assert shown.count("name") == 2 and "third       3" in shown
    terminal(60)
    assert table(headers, rows, shared=1).count("name") == 1


def test_a_word_is_never_broken(terminal):
    """One that is longer than the terminal has a line of its own, to be copied whole; indents stay."""
    terminal(12)
    path = "leaderboard/standard-v1/digits.json"
    assert wrapped(f"  written to {path}").splitlines() == ["  written to", f"  {path}"]
    assert path in table(["a", "b"], [["x", path]]).split()


def test_a_pipe_has_no_width():
    """Sentences and rows stay on one line."""
    assert wrapped("word " * 100) == "word " * 100


def test_what_is_too_long_is_cut_after_a_word():
    """And says so."""
    assert shortened("short", 24) == "short"
    cut = shortened("R16 Do the attacks' examples obey the threat model?", 24)
    assert len(cut) <= 24 and cut.endswith("\N{HORIZONTAL ELLIPSIS}")


def test_a_table_that_fits_already_stays_as_it_is(terminal):
    """Sentences below it are folded, its gaps are kept: a whole answer can be handed over."""
    terminal(24)
    shown = table(["name", "n"], [["first", "1"], ["second", "2"]])
    folded = wrapped(f"{shown}\n\nA sentence that is longer than the terminal.")
    assert folded.startswith(f"{shown}\n\nA sentence")
    assert max(map(len, folded.splitlines())) <= 24
