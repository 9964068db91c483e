"""What is wrong with the words of a command line, as bench says it: one line, not typer's or pydantic's."""

from __future__ import annotations

import enum
import re
import types
from typing import Any, Union, get_args, get_origin

import typer

from bench.core.errors import BenchError, UnknownNameError, nearest

__all__ = ["UsageError", "in_own_words"]

# typer has its errors from click, or a copy of it inside, and shows only this one of them.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]

_KINDS = {int: "a whole number", float: "a number", bool: "yes or no"}


def in_own_words(error: Any) -> BenchError:
    """The same mistake as an error of bench; where it is none that is known, in typer's words.

    Args:
        error: a `UsageError`.
    """
    parameter = getattr(error, "param", None)
    what = _name(parameter) if parameter is not None else getattr(error, "option_name", "")
    manual = f"`{error.ctx.command_path} -h` says what there is." if error.ctx is not None else ""
    kind = type(error).__name__
    if kind == "NoSuchOption":
        options = {name for each in error.ctx.command.params for name in each.opts} if error.ctx is not None else set()
        close = nearest(what, options)
        return BenchError(f"Unknown option {what!r}.{f' Did you mean {close!r}?' if close else ''} {manual}")
    if kind == "MissingParameter":
        choices = _choices(parameter)
        return BenchError(f"Expected {what}{f', one of {choices}' if choices else ''}. {manual}")
    if kind == "BadParameter" and parameter is not None:
        return _value(what, parameter, error)
    if what:  # a value too few or too many
        return BenchError(f"Expected {what} to have {'no value' if 'not take' in str(error) else 'a value'}. {manual}")
    return _words(error, manual)


def _value(what: str, parameter: Any, error: Any) -> BenchError:
    """A value that is none of the parameter's kind."""
    found = _given(error)
    if choices := _choices(parameter):
        return UnknownNameError(what, str(found), choices.split(", "))
    wanted = _KINDS.get(_type(parameter), "something else")
    shown = f", but got {found!r:.60}" if found is not None else ""
    return BenchError(f"Expected {what} to be {wanted}{shown}.")


def _words(error: Any, manual: str) -> BenchError:
    """Words in excess, or a command that does not exist."""
    commands = getattr(error.ctx.command, "commands", None) if error.ctx is not None else None
    words = str(error.message)
    if commands:
        return UnknownNameError("command", _quoted(words) or "", commands)
    extra = words.rpartition("(")[2].rstrip(")") if "extra" in words else ""
    return BenchError(f"Expected no more words, but got {extra!r:.60}. {manual}" if extra else f"{words} {manual}")


def _name(parameter: Any) -> str:
    option = next((name for name in parameter.opts if name.startswith("--")), "")
    return option or str(parameter.metavar or parameter.name).strip("[]{}.").upper()


def _given(error: Any) -> Any:
    """The value as it was typed, which pydantic keeps, and others quote."""
    details = getattr(error.__cause__, "errors", None)
    return details()[0].get("input") if details is not None else _quoted(str(error.message))


def _quoted(words: str) -> str | None:
    found = re.search("'([^']*)'", words)
    return found[1] if found is not None else None


def _choices(parameter: Any) -> str:
    kind = _type(parameter)
    if isinstance(kind, enum.EnumMeta):
        members: list[enum.Enum] = list(kind)
        return ", ".join(str(each.value) for each in members)
    return ", ".join(getattr(kind, "choices", ()))


def _type(parameter: Any) -> Any:
    """The type of one value of a parameter, without lists and None around it."""
    described = getattr(parameter, "type_descriptor", None)
    if described is None:  # typer before 0.27 has click's types
        return {"integer": int, "float": float, "boolean": bool}.get(parameter.type.name, parameter.type)
    kind: Any = described.annotation
    while get_origin(kind) in (list, tuple, Union, types.UnionType):
        kind = next(each for each in get_args(kind) if each is not type(None))
    return kind
