"""What no word of a command line can be, whatever it is for; looked at before anything is done with one."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Sequence

from bench.core.errors import BenchError
from bench.core.plain_text import plain

__all__ = ["check_words"]

_LONGEST = 2000
_LONGEST_NAME = 255
_NO_UTF8 = re.compile("[\udc80-\udcff]")  # as Python has the bytes of names in other encodings
_LONG_NUMBER = re.compile(r"[+-]?[0-9]{19,}")


def check_words(words: Sequence[str]) -> None:
    """Refuse words that are empty, no text, too long for a file's name, or numbers that nothing counts.

    Args:
        words: of the command line, without the program's name.

    Raises:
        BenchError: naming the option that the word belongs to.
    """
    for before, word in itertools.pairwise(["", *words]):
        name, _, value = word.partition("=") if word.startswith("--") and "=" in word else (before, "", word)
        if expected := _expected(value):
            what = name if name.startswith("-") else "an argument"
            raise BenchError(f"Expected {what} to be {expected}, but got {value!r:.60}.")


def _expected(value: str) -> str:
    """What the word should have been; empty where it is fine."""
    if not value.strip():
        return "something"
    text = _NO_UTF8.sub("", value)
    if plain(text) != text:
        return "text without control characters"
    if len(value) > _LONGEST or any(len(os.fsencode(part)) > _LONGEST_NAME for part in value.split("/")):
        return f"at most {_LONGEST_NAME} characters long, between slashes"
    return "a number of at most 18 digits" if _LONG_NUMBER.fullmatch(value) else ""
