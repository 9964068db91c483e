"""Text that somebody else may have written, as it may be printed: nothing in it moves the cursor or turns the line."""

from __future__ import annotations

import unicodedata

__all__ = ["one_line", "plain"]

_LONGEST = 300
_HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
"""Unicode's categories of control and format characters (bidirectional overrides too), of halves of surrogate pairs, of
what has no meaning, and of what ends a line."""


def plain(text: str) -> str:
    r"""The text, with everything that is not simply seen written as an escape.

    >>> plain("a\x1b[31mb\n")
    'a\\x1b[31mb\\n'
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(letter) if unicodedata.category(letter) in _HIDDEN else letter for letter in text)


def one_line(text: str) -> str:
    """A message as one line of at most 300 characters: of a longer one, the beginning and the end."""
    line = plain(" ".join(text.split()))
    if len(line) <= _LONGEST:
        return line
    return f"{line[: _LONGEST * 2 // 3]} ... {line[5 - _LONGEST // 3 :]}"


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape", "surrogatepass").decode("ascii")
