"""The state of a training run on disk: written whole or not at all, and refused where it belongs to another run."""

from __future__ import annotations

import functools
import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from bench.core import digest
from bench.core.errors import BenchError
from bench.storage import MOST_WEIGHTS_BYTES, open_regular, write_durably

__all__ = ["code_digest", "read", "unfinished", "write"]

_CODE = ("acceleration", "certification", "ops", "training")
"""Packages whose code changes what a training computes; the architecture's digest is another."""


def write(path: Path, identity: Mapping[str, str], state: Mapping[str, Any]) -> None:
    """Write `state` (tensors and plain values) atomically and durably.

    Raises:
        WorkFailedError: if the disk is full; the previous snapshot is kept.
        BenchError: if writing there is not allowed.
    """
    buffer = io.BytesIO()
    torch.save({"identity": dict(identity), "state": dict(state)}, buffer)
    write_durably(path, buffer.getvalue())


@functools.cache
def code_digest() -> str:
    """Digest of all that trains: what another version of it began is not its own."""
    package = Path(__file__).resolve().parents[1]
    return digest.of_sources(path for part in _CODE for path in (package / part).rglob("*.py"))


def unfinished(path: Path, identity: Mapping[str, str]) -> bool:
    """Whether a run of this identity was interrupted there: a damaged snapshot or one of another run is none."""
    try:
        state = read(path, identity)
    except BenchError:
        return False
    return state is not None and state["epoch"] < state["epochs"]


def read(path: Path, identity: Mapping[str, str]) -> dict[str, Any] | None:
    """The state stored at `path`, or None where there is none.

    Raises:
        BenchError: if the file is damaged, or was written by another run.
    """
    if not path.exists():
        return None
    try:
        with open_regular(path, most_bytes=MOST_WEIGHTS_BYTES) as file:
            stored = torch.load(file, map_location="cpu", weights_only=True)
        found, state = stored["identity"], stored["state"]
    except (OSError, RuntimeError, ValueError, KeyError, EOFError, pickle.UnpicklingError) as error:
        raise BenchError(f"The training snapshot {path} is damaged. Delete it, or --force, to start afresh.") from error
    for key, wanted in identity.items():
        if found.get(key) != wanted:
            raise BenchError(
                f"The snapshot {path} belongs to another run: its {key} is {found.get(key)!r}, but this run's is"
                f" {wanted!r}. Choose another --out, or --force to start afresh."
            )
    return dict(state)
