"""Frozen dataclasses to JSON values and back, strictly: every field there, none unknown, types exact."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Hashable, Mapping
from functools import cache
from typing import Any, TypeVar

from bench.core.errors import nearest

__all__ = ["from_json", "to_json"]

T = TypeVar("T")

# A field with this metadata is left out of the JSON while it holds its default.
OPTIONAL = {"optional": True}


def to_json(value: Any) -> Any:
    r"""The JSON value of a dataclass, keys in declared order; optional fields at their default are left out.

    Bytes of a path or an argument that are no UTF-8 come as halves of surrogate pairs, which no file can hold: they
    become escapes.

    >>> to_json(["a\udcff"])
    ['a\\udcff']
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: to_json(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if not (field.metadata.get("optional") and getattr(value, field.name) == _default(field))
        }
    if isinstance(value, (tuple, list)):
        return [to_json(item) for item in value]
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, str) and not value.isascii():
        return value.encode(errors="backslashreplace").decode()
    return value


def _default(field: dataclasses.Field[Any]) -> Any:
    factory = field.default_factory
    return field.default if factory is dataclasses.MISSING else factory()


def from_json(kind: type[T], value: Any, where: str) -> T:
    """Read a value of type `kind`.

    Args:
        kind: a dataclass, whose fields are of the types that `_read` knows.
        value: what `json.loads` returned.
        where: how messages call this place ("result.attacks[2]").

    Raises:
        ValueError: if a field is missing, unknown, or of another type.
    """
    return typing.cast(T, _read(kind, value, where))


def _read(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _read_dataclass(typing.cast("type[Any]", kind), value, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        _expect(isinstance(value, list), "a list", value, where)
        return tuple(_read(arguments[0], item, f"{where}[{position}]") for position, item in enumerate(value))
    if origin in (dict, Mapping):
        _expect(isinstance(value, dict), "an object", value, where)
        return {key: _read(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if origin in (typing.Union, types.UnionType):
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return None if value is None else _read(inner, value, where)
    return _read_plain(kind, value, where)


def _read_plain(kind: Any, value: Any, where: str) -> Any:
    if kind is Any:
        return value
    if kind is float:
        _expect(type(value) in (int, float), "a number", value, where)
        return float(value)
    _expect(type(value) is kind, {int: "a whole number", str: "a string", bool: "true or false"}[kind], value, where)
    return value


def _read_dataclass(kind: type[Any], value: Any, where: str) -> Any:
    _expect(isinstance(value, dict), "an object", value, where)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    unknown = sorted(set(value) - set(fields))
    if unknown:
        close = nearest(unknown[0], fields)
        hint = f" Did you mean {close!r}?" if close else ""
        raise ValueError(f"Expected `{where}` to have only known fields, but got {', '.join(unknown)}.{hint}")
    missing = [name for name, field in fields.items() if name not in value and not field.metadata.get("optional")]
    if missing:
        raise ValueError(f"Expected `{where}` to have {', '.join(missing)}, but it has not.")
    hints = _hints(typing.cast("Hashable", kind))
    return kind(**{name: _read(hints[name], item, f"{where}.{name}") for name, item in value.items()})


@cache
def _hints(kind: Hashable) -> dict[str, Any]:
    """The types of a dataclass's fields, which are looked up as often as there are rows otherwise."""
    return typing.get_type_hints(kind)


def _expect(fine: bool, expected: str, value: Any, where: str) -> None:
    if not fine:
        raise ValueError(f"Expected `{where}` to be {expected}, but got {value!r:.60}.")
