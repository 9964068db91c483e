"""Text that may be printed."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.plain_text import one_line, plain


@given(st.text(st.characters(exclude_categories=[])))
def test_nothing_hidden_is_left(text: str) -> None:
    """No control character, no override of direction, no half of a surrogate pair; a message is one short line."""
    for shown in (plain(text), one_line(text)):
        shown.encode()
        kinds = {unicodedata.category(letter) for letter in shown if letter not in "\u200c\u200d"}
        assert not kinds & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert len(one_line(text * 100)) <= 300


@pytest.mark.parametrize(
    "text",
    [
        "R\u00e9sum\u00e9 \u65e5\u672c",
        "\u05e9\u05dc\u05d5\u05dd",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "a + b = 1/2 %",
        "",
    ],
)
def test_what_is_seen_stays(text: str) -> None:
    """Letters of any script are text."""
    assert plain(text) == text


def test_a_terminals_commands_are_shown_and_not_obeyed() -> None:
    """Colours, new titles, overrides of direction."""
    assert plain("\x1b]0;title\x07\u202e") == "\\x1b]0;title\\x07\\u202e"


def test_of_a_long_message_both_ends_are_kept() -> None:
    """What was wrong stands first, what to do last."""
    line = one_line("Cannot read " + "x" * 1000 + ". Choose another name.")
    assert len(line) == 300
    assert line.startswith("Cannot read x") and line.endswith("x. Choose another name.") and " ... " in line
