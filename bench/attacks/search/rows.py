"""Working batches shrink: pick rows of everything that a batch carries, at once."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from torch import Tensor

__all__ = ["pick"]

T = TypeVar("T")


def pick(state: T, rows: Tensor) -> T:
    """The dataclass `state` with rows `rows`, int64 `(M,)`, of every tensor in it, nested dataclasses included."""
    if not is_dataclass(state) or isinstance(state, type):
        raise ValueError(f"Expected `state` to be a dataclass instance, but got {type(state).__name__}.")
    picked = {each.name: _of(getattr(state, each.name), rows) for each in fields(state)}
    return replace(state, **picked)


def _of(value: Any, rows: Tensor) -> Any:
    if isinstance(value, Tensor):
        return value[rows]
    return pick(value, rows) if is_dataclass(value) else value
