"""Text as it is printed: counts with their nouns, and what somebody else may have written, which moves no cursor."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping

__all__ = ["counted", "first_line", "one_line", "plain", "reason_of", "reasons_text"]

_LONGEST = 300
_JOINERS = "\u200c\u200d"  # several scripts are not written without them
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
    return "".join(_escaped(letter) if _is_hidden(letter) else letter for letter in text)


def one_line(text: str) -> str:
    """A message as one line of at most 300 characters: of a longer one, the beginning and the end."""
    line = plain(" ".join(text.split()))
    if len(line) <= _LONGEST:
        return line
    return f"{line[: _LONGEST * 2 // 3]} ... {line[5 - _LONGEST // 3 :]}"


def first_line(error: BaseException) -> str:
    r"""The first line of an exception's message; its kind where it has none.

    >>> first_line(ValueError("two\nlines"))
    'two'
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return one_line(lines[0])


def reason_of(error: BaseException) -> str:
    r"""An exception as one line: its kind and the first line of its message.

    >>> reason_of(ValueError("two\nlines"))
    'ValueError: two'
    """
    said = first_line(error) if str(error).strip() else "no message"
    return one_line(f"{type(error).__name__}: {said}")


def counted(number: int, what: str) -> str:
    """How many there are of what.

    >>> counted(1, "row"), counted(2_000, "row")
    ('1 row', '2,000 rows')
    """
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def reasons_text(reasons: Mapping[str, str]) -> str:
    """Things with the reason of each as text, those of one reason together.

    >>> reasons_text({"R1": "no memory", "R2": "no memory", "card": "no name"})
    'R1, R2 (no memory); card (no name)'
    """
    names: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        names.setdefault(reason, []).append(name)
    return "; ".join(f"{', '.join(several)} ({reason})" for reason, several in names.items())


def _is_hidden(letter: str) -> bool:
    return unicodedata.category(letter) in _HIDDEN and letter not in _JOINERS


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape", "surrogatepass").decode("ascii")
