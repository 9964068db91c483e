"""What a module holds at one moment, so that a change can be named later."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from torch import Tensor, nn

__all__ = ["Snapshot"]

_PLAIN = (bool, int, float, str, Tensor)


class Snapshot:
    """A copy of a module's parameters, buffers and plain attributes.

    Args:
        module: what is looked at; it is not changed.
    """

    def __init__(self, module: nn.Module) -> None:
        self._tensors = {name: tensor.detach().clone() for name, tensor in _tensors(module)}
        self._attributes = {name: _copied(value) for name, value in _attributes(module)}

    def changed_tensors(self, module: nn.Module) -> list[str]:
        """Names of parameters and buffers that came, went or differ in a bit."""
        now = dict(_tensors(module))
        return _differing(self._tensors, now)

    def changed_attributes(self, module: nn.Module) -> list[str]:
        """Names of numbers, texts and tensors that the module's parts hold as plain attributes and that differ."""
        now = dict(_attributes(module))
        return _differing(self._attributes, now)


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return chain(module.named_parameters(), module.named_buffers())


def _attributes(module: nn.Module) -> Iterator[tuple[str, Any]]:
    for prefix, part in module.named_modules():
        for name, value in vars(part).items():
            if isinstance(value, _PLAIN) and name != "training":
                yield f"{prefix}.{name}" if prefix else name, value


def _copied(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else value


def _differing(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    names = sorted(before.keys() | now.keys())
    return [name for name in names if name not in before or name not in now or not _same(before[name], now[name])]


def _same(first: Any, second: Any) -> bool:
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        if first.shape != second.shape or first.dtype != second.dtype:
            return False
        return bool(((first == second) | (first.isnan() & second.isnan())).all())
    return type(first) is type(second) and first == second
