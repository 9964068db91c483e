"""Weights files: told by content, read without running code of theirs, unwrapped to a plain state dict."""

from __future__ import annotations

import os
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from bench.core.errors import BenchError
from bench.core.regular_file import MOST_WEIGHTS_BYTES, open_regular

__all__ = ["read", "unwrap"]

WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "net")
MAX_DEPTH = 4
_HEAD = 4096
_REFUSED_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")


def read(path: Path) -> dict[str, Tensor]:
    """Read the state dict in `path`, on the CPU, whatever device it was saved on.

    Raises:
        BenchError: if there is no such file, it holds no weights, it is damaged, or it asks to run code.
    """
    try:
        with open_regular(path, most_bytes=MOST_WEIGHTS_BYTES) as file:
            head = file.read(_HEAD)
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        raise BenchError(f"No weights file {path}.") from None
    except OSError as error:
        raise BenchError(f"Cannot read weights file {path}: {error.strerror or error}.") from None
    if _looks_like_safetensors(head):
        return _read_safetensors(path)
    if head.startswith((b"PK\x03\x04", b"\x80")):
        return unwrap(_read_torch(path), path)
    raise BenchError(f"Expected safetensors or torch weights in {path}, but {_what_else(head, size)}.")


def unwrap(content: Any, path: Path) -> dict[str, Tensor]:
    """Find the state dict in what a training script saved: `{"state_dict": ...}`, `{"model": ...}`, ...

    Raises:
        BenchError: if there is none.
    """
    for _ in range(MAX_DEPTH):
        if not isinstance(content, Mapping):
            break
        if content and all(isinstance(name, str) and isinstance(each, Tensor) for name, each in content.items()):
            return dict(content)
        inner = next((content[name] for name in WRAPPERS if isinstance(content.get(name), Mapping)), None)
        if inner is None:
            break
        content = inner
    found = (
        f"the keys {', '.join(map(repr, list(content)[:5])) or 'none'}"
        if isinstance(content, Mapping)
        else type(content)
    )
    raise BenchError(
        f"Expected a state dict in {path}, plain or under {', '.join(map(repr, WRAPPERS))}, but found {found}."
        " Save it with torch.save(model.state_dict(), path)."
    )


def _looks_like_safetensors(head: bytes) -> bool:
    """Whether `head` starts with the length of a JSON header and that header's brace."""
    return len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= 100 << 20


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path, device="cpu")
    except Exception as error:  # whatever it raises, the file is at fault
        raise _damaged(path, error) from error


def _read_torch(path: Path) -> Any:
    try:
        # Through an open file: given a path, torch would go by its name.
        with open_regular(path, most_bytes=MOST_WEIGHTS_BYTES) as file:
            return torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        refused = _REFUSED_GLOBAL.search(str(error))
        if refused is None:
            raise _damaged(path, error) from error
        raise BenchError(
            f"Weights file {path} asks for {refused[1]!r} to be run when it is loaded; refused: weights are data."
            " Save it with torch.save(model.state_dict(), path)."
        ) from None
    except Exception as error:  # torch raises some ten kinds for a file that was cut or changed
        if "TorchScript" in str(error):
            raise BenchError(f"Expected a state dict in {path}, but it is a TorchScript archive.") from None
        raise _damaged(path, error) from error


def _what_else(head: bytes, size: int) -> str:
    start = head.lstrip().lower()
    if size == 0:
        return "it is empty"
    if start.startswith((b"<!doctype html", b"<html", b"<?xml")):
        return "it is a web page (Google Drive asking for confirmation?); download the file itself, in a browser"
    if start.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer; run `git lfs pull`"
    return "its content is neither"


def _damaged(path: Path, error: Exception) -> BenchError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0][:120]
    return BenchError(f"Weights file {path} is truncated or damaged ({reason}); get it again.")
