"""Build a network from what a manifest says, without trusting it."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from bench.core.errors import BenchError, UnknownNameError
from bench.models.architectures import ARCHITECTURES
from bench.row import ArchitectureSpec

__all__ = ["build_empty"]

MAX_SIZE = 10_000
MAX_PARAMETERS = 1_000_000_000


def build_empty(spec: ArchitectureSpec) -> nn.Module:
    """Build the network of `spec` on the meta device: shapes alone, no memory, no random numbers drawn.

    Raises:
        UnknownNameError: if the architecture or one of its arguments is unknown.
        BenchError: if an argument is of the wrong type or too large, or the architecture refuses it.
    """
    builder = ARCHITECTURES.get(spec.name).build
    _check(spec.name, builder, spec.kwargs)
    try:
        with torch.device("meta"):
            module = builder(**spec.kwargs)
    except (ValueError, TypeError) as error:
        raise BenchError(f"Architecture {spec.name!r} refuses its arguments: {error}") from None
    count = sum(parameter.numel() for parameter in module.parameters())
    if count > MAX_PARAMETERS:
        raise BenchError(f"Expected at most {MAX_PARAMETERS:,} parameters, but {spec.name!r} would have {count:,}.")
    return module


def _check(name: str, builder: Callable[..., nn.Module], kwargs: Mapping[str, Any]) -> None:
    """Check each argument against the builder's signature; what is left over belongs to a wrapped architecture."""
    takes = inspect.signature(builder, eval_str=True).parameters
    known = {key: each.annotation for key, each in takes.items() if each.kind is inspect.Parameter.KEYWORD_ONLY}
    rest = {key: value for key, value in kwargs.items() if key not in known}
    for key in kwargs.keys() & known:
        if not _fits(kwargs[key], known[key]):
            kind = inspect.formatannotation(known[key]).removeprefix("collections.abc.")
            raise BenchError(
                f"Expected argument {key!r} of architecture {name!r} to be {kind}, numbers in 0 to {MAX_SIZE:,},"
                f" but got {kwargs[key]!r}."
            )
    backbone = kwargs.get("backbone", takes["backbone"].default if "backbone" in takes else None)
    if isinstance(backbone, str):
        if ARCHITECTURES.get(backbone).build is builder:
            raise BenchError(f"Expected architecture {name!r} around another one, but got itself.")
        _check(backbone, ARCHITECTURES.get(backbone).build, rest)
    elif rest:
        raise UnknownNameError(f"argument of architecture {name}", next(iter(rest)), known)


def _fits(value: Any, kind: Any) -> bool:
    """Whether a JSON value fits an annotation: a plain type, or a sequence of one."""
    inside = typing.get_args(kind)
    if inside:
        return isinstance(value, list | tuple) and all(_fits(each, inside[0]) for each in value)
    if isinstance(value, bool) or kind is bool:
        return isinstance(value, bool) and kind is bool
    if isinstance(value, int | float):
        return kind in (float, type(value)) and 0 <= value <= MAX_SIZE
    return isinstance(value, kind)
