"""Weights files: told by content, read without running code of theirs, unwrapped to plain state dicts."""

from __future__ import annotations

import os
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from bench.core.errors import BenchError, nearest
from bench.core.plain_text import first_line
from bench.storage import MOST_WEIGHTS_BYTES, open_regular

__all__ = ["EXTRA_STATE", "WRAPPERS", "check", "read", "state_dicts"]

WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "_orig_mod", "net")
"""What training scripts and torch's wrappers call the network itself, the likeliest first."""
EXTRA_STATE = "_extra_state"
"""How torch ends the name of what a module keeps beside its tensors (`get_extra_state`)."""
MAX_DEPTH = 4
_HEAD = 4096
_MAGIC = torch.serialization.MAGIC_NUMBER.to_bytes(10, "little")
"""Near the start of what `torch.save` wrote before version 1.6."""
_SHOWN = 5
_REFUSED_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")
_NUMBER = re.compile(r"[<>=|]?[?biuf][1248]?")


def read(path: Path) -> dict[str, Any]:
    """The likeliest state dict in `path`; see `state_dicts`.

    Raises:
        BenchError: as `state_dicts`.
    """
    return next(iter(state_dicts(path).values()))


def state_dicts(path: Path, *, key: str | None = None) -> dict[str, dict[str, Any]]:
    """Read every state dict in `path`, on the CPU, whatever device it was saved on.

    Args:
        path: of the file.
        key: where in the file, a dotted path such as "model_state.net"; None for anywhere. Also a prefix of names.

    Returns:
        Each by the dotted path of where it lies ("" is the file itself), the likeliest first: at least one. Entries are
        tensors, and whatever else stands among them.

    Raises:
        BenchError: if there is no such file, it holds no weights (there), it is damaged, or it asks to run code.
    """
    content = _content(path)
    if key is not None:
        content = _at(content, key, path)
    found = dict(_found_in(content, key or ""))
    if not found:
        raise BenchError(
            f"Expected a state dict in {path}{f' at {key!r}' if key else ''}, but found {_kind_of(content)}."
            " Save it with torch.save(model.state_dict(), path)."
        )
    around = {outer for outer in found for inner in found if inner != outer and inner.startswith(outer)}
    return dict(sorted(found.items(), key=lambda each: (each[0] in around, *_unlikeliness(each[0]))))


def check(path: Path) -> None:
    """Refuse a file that is no weights file, by its start and, of torch's archives, by what lies in them.

    Raises:
        BenchError: as `state_dicts`; that the rest is not damaged is not checked.
    """
    if not _is_safetensors(path):
        try:
            with open_regular(path, most_bytes=MOST_WEIGHTS_BYTES) as file:
                _check_archive(file, path)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise _damaged(path, error) from error


def _content(path: Path) -> Any:
    return _read_safetensors(path) if _is_safetensors(path) else _read_torch(path)


def _is_safetensors(path: Path) -> bool:
    """Whether a weights file is of safetensors, or else of torch.

    Raises:
        BenchError: if it is neither.
    """
    try:
        with open_regular(path, most_bytes=MOST_WEIGHTS_BYTES) as file:
            head = file.read(_HEAD)
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        is_url = path.parts[0].endswith(":")  # of which a path keeps one slash
        raise BenchError(f"No weights file {path}{'; download it first' if is_url else ''}.") from None
    except OSError as error:
        raise BenchError(f"Cannot read weights file {path}: {error.strerror or error}.") from None
    if _looks_like_safetensors(head):
        return True
    if head.startswith(b"PK\x03\x04") or (head.startswith(b"\x80") and _MAGIC in head[:32]):
        return False
    raise BenchError(f"Expected safetensors or torch weights in {path}, but {_what_else(head, size)}.")


def _found_in(content: Any, place: str, depth: int = 0) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping from names to tensors, by its place; what holds others comes after them."""
    if not isinstance(content, Mapping) or not all(isinstance(name, str) for name in content):
        return
    if depth < MAX_DEPTH:
        for name, each in content.items():
            if not name.endswith(EXTRA_STATE):
                yield from _found_in(each, f"{place}.{name}" if place else name, depth + 1)
    if any(isinstance(each, Tensor) for each in content.values()):
        yield place, _StateDict(content)


class _StateDict(dict[str, Any]):
    """A state dict with the versions of modules that torch writes down, for those that translate old names."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        super().__init__(content)
        metadata = getattr(content, "_metadata", None)
        if isinstance(metadata, Mapping):
            self._metadata = metadata


def _unlikeliness(place: str) -> tuple[int, ...]:
    """Sorts what is called as networks usually are before anything else, and in the order of `WRAPPERS`."""
    parts = [WRAPPERS.index(part) if part in WRAPPERS else len(WRAPPERS) for part in place.split(".") if place]
    return (max(parts, default=0) == len(WRAPPERS), *parts)


def _at(content: Any, key: str, path: Path) -> Any:
    """What lies at a dotted path; where a part of it is no name, the entries whose names start with the rest of it."""
    rest, inside = key.split("."), content
    while rest:
        if not isinstance(inside, Mapping):
            raise _nothing_at(content, key, path)
        count = next((n for n in range(len(rest), 0, -1) if ".".join(rest[:n]) in inside), 0)
        if not count:
            prefix = ".".join(rest) + "."
            under = {name.removeprefix(prefix): each for name, each in inside.items() if str(name).startswith(prefix)}
            if not under:
                raise _nothing_at(content, key, path)
            return under
        inside, rest = inside[".".join(rest[:count])], rest[count:]
    return inside


def _nothing_at(content: Any, key: str, path: Path) -> BenchError:
    places = [place for place, _ in _found_in(content, "") if place]
    close = nearest(key, places)
    hint = f" (nearest: {close!r})" if close else ""
    return BenchError(f"There is nothing at --weights-key {key!r} in {path}{hint}; it is {_kind_of(content)}.")


def _kind_of(content: Any) -> str:
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}"
    more = f" and {len(content) - _SHOWN} more" if len(content) > _SHOWN else ""
    return f"a dict of {', '.join(map(repr, list(content)[:_SHOWN])) or 'nothing'}{more}"


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
            _check_archive(file, path)
            with torch.serialization.safe_globals(_NUMPY), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of layouts that are refused by name where they are wanted
                return torch.load(file, map_location="cpu", weights_only=True)
    except BenchError:
        raise
    except pickle.UnpicklingError as error:
        refused = _REFUSED_GLOBAL.search(str(error))
        if refused is not None:
            why = f"asks for {refused[1]!r} to be run when it is loaded; refused: weights are data."
        elif "Unsupported operand" in str(error):
            why = "is pickled in another protocol than torch's own, which only code could read."
        else:
            raise _damaged(path, error) from error
        raise BenchError(
            f"Weights file {path} {why} If you trust it, save its weights alone: c = torch.load(FILE,"
            " weights_only=False); torch.save(c['state_dict'], NEW), or c.state_dict() of a whole model."
        ) from None
    except Exception as error:  # torch raises some ten kinds for a file that was cut or changed
        raise _damaged(path, error) from error


def _check_archive(file: BinaryIO, path: Path) -> None:
    """Refuse a zip archive that is no torch file, or larger once it is unpacked; leave the file at its start."""
    if file.read(4) == b"PK\x03\x04":
        archive = zipfile.ZipFile(file)
        entries = archive.infolist()
        if any("/code/" in each.filename or each.filename.endswith("/constants.pkl") for each in entries):
            raise BenchError(
                f"Expected a state dict in {path}, but it is a TorchScript archive: let a factory return"
                " torch.jit.load(path), or save its state_dict()."
            )
        if entries and all(each.filename.endswith(".npy") for each in entries):
            raise BenchError(
                f"Expected safetensors or torch weights in {path}, but it is a NumPy archive: torch.save a dict of"
                " torch.from_numpy of its arrays."
            )
        if not any(each.filename.endswith("/data.pkl") for each in entries):
            listed = ", ".join(f"{each.filename:.40}" for each in entries[:_SHOWN]) or "nothing"
            raise BenchError(
                f"Expected safetensors or torch weights in {path}, but it is an archive of {listed}; unpack it."
            )
        if sum(each.file_size for each in entries) > os.fstat(file.fileno()).st_size:
            raise BenchError(f"Weights file {path} is compressed, which torch's files never are; save it anew.")
        # torch itself takes a damaged tensor for a good one; all checksums are 0 where they were switched off.
        damaged = archive.testzip() if any(each.CRC for each in entries) else None
        if damaged is not None:
            raise ValueError(f"the checksum of {damaged} does not match")
    file.seek(0)


class _NumpyType:
    """What numpy's types of numbers are read as: their code, and no code of numpy's."""

    def __init__(self, code: str, *_: object) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: Any) -> None:
        self.order = str(state[1])


def _numpy_number(kind: _NumpyType, content: bytes) -> int | float | bool:
    """A number that numpy has saved, such as an accuracy beside the weights."""
    code = f"{kind.order}{kind.code}"
    if not _NUMBER.fullmatch(code):
        raise pickle.UnpicklingError(f"a numpy number of type {code[:20]!r}")
    number: int | float | bool = np.frombuffer(content, dtype=code, count=1)[0].item()
    return number


_NUMPY: list[Any] = [
    (_NumpyType, "numpy.dtype"),
    (_numpy_number, "numpy.core.multiarray.scalar"),
    (_numpy_number, "numpy._core.multiarray.scalar"),
]


def _what_else(head: bytes, size: int) -> str:
    start = head.lstrip().lower()
    if size == 0:
        return "it is empty"
    if head.startswith(b"\x80"):
        return "it is a pickle that torch.save has not written (or damaged); torch.save a state dict of what it holds"
    if start.startswith((b"<!doctype html", b"<html", b"<?xml")):
        return "it is a web page (Google Drive asking for confirmation?); download the file itself, in a browser"
    if start.startswith(b"version https://git-lfs"):
        return "it is a Git LFS pointer; run `git lfs pull`"
    return "its content is neither"


def _damaged(path: Path, error: Exception) -> BenchError:
    return BenchError(f"Weights file {path} is truncated or damaged ({first_line(error)}); get it again.")
