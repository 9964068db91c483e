"""JSON that somebody else may have written, read without surprises: no key twice, no number that is none, no abyss."""

from __future__ import annotations

import json
import math
from typing import Any

__all__ = ["loads"]

_MOST_DEPTH = 32
_MOST_DIGITS = 20


def loads(text: str | bytes, *, infinite: bool = False) -> Any:
    """Read JSON.

    >>> loads('{"a": [1, 2.5]}')
    {'a': [1, 2.5]}

    Args:
        text: UTF-8 where it is bytes.
        infinite: infinite numbers are expected too, as `json.dumps` writes them.

    Raises:
        ValueError: if it is no JSON, names a key twice, nests deeper than any file of bench, or holds an integer of
            more than 20 digits, a number that is not finite, or text that no encoding can write.
    """

    def constant(name: str) -> float:
        if infinite and name != "NaN":
            return float(name)
        raise ValueError(f"Expected finite numbers, but got {name}.")

    try:
        value = json.loads(
            text.decode() if isinstance(text, bytes) else text,
            parse_constant=constant,
            parse_int=_integer,
            parse_float=_number,
            object_pairs_hook=_object,
        )
        _check(value)
    except RecursionError:
        raise ValueError(f"Expected at most {_MOST_DEPTH} levels of lists and objects, but got more.") from None
    return value


def _integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"Expected integers of at most {_MOST_DIGITS} digits, but got one of {len(digits)}.")
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"Expected finite numbers, but got {digits:.40}.")
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"Expected every key once, but got {key!r:.60} twice.")
        found[key] = value
    return found


def _check(value: Any) -> None:
    """Depth, and texts that UTF-8 can hold, level by level."""
    level = [value]
    for _ in range(_MOST_DEPTH):
        below: list[Any] = []
        for each in level:
            if isinstance(each, str):
                _check_text(each)
            elif isinstance(each, dict):
                for key in each:
                    _check_text(key)
                below.extend(each.values())
            elif isinstance(each, list):
                below.extend(each)
        if not below:
            return
        level = below
    raise ValueError(f"Expected at most {_MOST_DEPTH} levels of lists and objects, but got more.")


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"Expected text, but got half of a surrogate pair in {text!r:.60}.") from error
