"""Digests of a model: of its state, and of the sources that turn the state into a function."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.core import digest
from bench.models.imports import Sources
from bench.row import ArchitectureSpec

__all__ = ["architecture_digest", "factory_digest", "source_contents", "state_digest"]

PACKAGE = "bench.models.architectures."
LISTING = "bench.models.architectures.architecture"  # names and papers; it computes nothing


def state_digest(state: Mapping[str, Any]) -> str:
    """Digest of names, dtypes, shapes and bytes; neither order, device nor memory format counts."""
    parts: list[bytes] = []
    for name in sorted(state):
        parts += [name.encode(), *_parts_of(state[name])]
    return digest.of_bytes(*parts)


def architecture_digest(module: nn.Module, spec: ArchitectureSpec) -> str:
    """Digest of the arguments of one of this package's architectures and of every source file behind `module`."""
    pending = {type(each).__module__ for each in module.modules()}
    seen: set[str] = set()
    while pending:
        name = pending.pop()
        if name.startswith(PACKAGE) and name not in seen | {LISTING}:
            seen.add(name)
            pending |= _imports(_source(name))
    sources = (part for name in sorted(seen) for part in (name.encode(), _source(name).read_bytes()))
    return digest.of_bytes(digest.of_json({"name": spec.name, "kwargs": dict(spec.kwargs)}).encode(), *sources)


def factory_digest(path: Path, factory: str, modules: Sources) -> str:
    """Digest of a user's file, of the name of the factory in it, and of the user's modules that the file imports."""
    return digest.of_bytes(path.read_bytes(), factory.encode(), *source_contents(modules))


def source_contents(modules: Sources) -> Iterator[bytes]:
    """Name and source of each module, in the order of the names; where the files lie does not count."""
    for name in sorted(modules):
        yield name.encode()
        yield modules[name].read_bytes()


def _parts_of(value: Any) -> Iterator[bytes]:
    """The bytes that tell a tensor, or an entry of another kind (`get_extra_state`), from others."""
    if isinstance(value, Tensor) and value.is_quantized:
        yield from _parts_of((str(value.dtype), value.int_repr(), value.dequantize()))
    elif isinstance(value, Tensor):
        dense = value.detach() if value.layout is torch.strided else value.detach().to_dense()
        plain = dense.resolve_conj().resolve_neg().to("cpu", memory_format=torch.contiguous_format).contiguous()
        yield from (str(plain.dtype).encode(), str(tuple(plain.shape)).encode())
        yield plain.reshape(-1).view(torch.uint8).numpy().tobytes()
    elif isinstance(value, Mapping):
        for key in sorted(value, key=str):
            yield str(key).encode()
            yield from _parts_of(value[key])
    elif isinstance(value, list | tuple):
        yield str(len(value)).encode()
        for each in value:
            yield from _parts_of(each)
    elif isinstance(value, bool | int | float | str | bytes | torch.dtype | None):
        yield repr(value).encode()
    else:  # its text may hold an address, which is another one in every process
        yield type(value).__qualname__.encode()


def _source(name: str) -> Path:
    module = sys.modules.get(name)
    spec = module.__spec__ if module is not None else importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ValueError(f"Expected `name` to be a module with a source file, but got {name!r}.")
    return Path(spec.origin)


def _imports(path: Path) -> set[str]:
    """The modules that the file imports from."""
    nodes = ast.walk(ast.parse(path.read_bytes()))
    return {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module is not None}
