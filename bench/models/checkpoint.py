"""Checkpoints on disk: `<folder>/<dataset>.safetensors` with its manifest `<dataset>.json`, written atomically.

`<folder>` is `checkpoints/<model>`. The weights are data: safetensors alone is written, and the manifest holds the
file's SHA-256, which is checked whenever the file is read.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from bench.core.errors import BenchError, OtherFileError
from bench.models import weights
from bench.row import Accuracy, ArchitectureSpec, Manifest
from bench.storage import sha256_of, write_together

__all__ = [
    "Accuracy",
    "ArchitectureSpec",
    "Manifest",
    "load_states",
    "manifest_path",
    "read_checkpoint",
    "read_weights",
    "rounded_state",
    "weights_path",
    "write_checkpoint",
]


def weights_path(folder: Path, dataset: str) -> Path:
    """Where the weights of `dataset` lie in a model's folder."""
    return folder / f"{dataset}.safetensors"


def manifest_path(folder: Path, dataset: str) -> Path:
    """Where the manifest of `dataset` lies in a model's folder."""
    return folder / f"{dataset}.json"


def rounded_state(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`state` as new checkpoints hold it: filters and matrices in float16, which halves the file.

    What has one dimension or none (biases, running variances, which may be of any size) weighs little and stays as it
    is, as does a tensor with a value that float16 cannot hold. Modules stay float32: loading casts.

    Args:
        state: a module's state dict.
    """
    return {name: _rounded(tensor.detach()) for name, tensor in state.items()}


def write_checkpoint(folder: Path, dataset: str, state: Mapping[str, Tensor], manifest: Manifest) -> Manifest:
    """Store weights and manifest so that a reader finds the old pair or the new one, never half a file.

    Args:
        folder: `checkpoints/<model>`; made where it is missing.
        dataset: name of the data set, the stem of both files.
        state: the module's state dict, on any device and in any memory format.
        manifest: what is known about it; its `sha256` is filled in here.

    Returns:
        The manifest as stored, with the SHA-256 of the weights file.

    Raises:
        WorkFailedError: if the disk is full; the old pair is kept.
        BenchError: if the folder cannot be written.
        ValueError: if a weight is not finite.
    """
    content = save({name: _stored(name, tensor) for name, tensor in state.items()})
    stored = dataclasses.replace(manifest, sha256=hashlib.sha256(content).hexdigest())
    # A crash between the two names shows as a SHA-256 mismatch.
    write_together({weights_path(folder, dataset): content, manifest_path(folder, dataset): stored.to_json().encode()})
    return stored


def read_checkpoint(folder: Path, dataset: str) -> tuple[dict[str, Tensor], Manifest]:
    """Read the weights, on the CPU and with their SHA-256 verified, and the manifest.

    Raises:
        BenchError: if either is missing or damaged, or the two do not belong together.
    """
    manifest = Manifest.read(manifest_path(folder, dataset))
    return read_weights(weights_path(folder, dataset), sha256=manifest.sha256), manifest


def read_weights(path: Path, *, sha256: str | None = None) -> dict[str, Tensor]:
    """Read the likeliest state dict of a file; see `load_states`.

    Raises:
        BenchError: as `load_states`.
    """
    return next(iter(load_states(path, sha256=sha256).values()))


def load_states(path: Path, *, sha256: str | None = None, key: str | None = None) -> dict[str, dict[str, Any]]:
    """Read the state dicts in safetensors or torch weights (told by content), running no code of the file's.

    Args:
        path: the file.
        sha256: what its SHA-256 must be; None skips the check.
        key: where in the file; None for anywhere. See `weights.state_dicts`.

    Raises:
        OtherFileError: if it is another file than `sha256` says.
        BenchError: if the file is missing, damaged or no weights file.
    """
    if sha256 is not None and path.is_file():
        try:
            found = sha256_of(path)
        except OSError as error:
            raise BenchError(f"Cannot read weights {path}: {error.strerror or error}.") from error
        if found != sha256:
            raise OtherFileError(
                f"Weights {path} have sha256 {found[:12]}..., but their manifest says {sha256[:12] or 'none'}...:"
                " the file is damaged or another one; restore it or train it again."
            )
    return weights.state_dicts(path, key=key)


def _rounded(tensor: Tensor) -> Tensor:
    half = tensor.half() if tensor.is_floating_point() and tensor.dim() > 1 else tensor
    return half if torch.isfinite(half).all() else tensor


def _stored(name: str, tensor: Tensor) -> Tensor:
    """`tensor` as it is stored: on the CPU, contiguous, sharing no memory."""
    kept = tensor.detach().to("cpu", copy=True).contiguous()
    if not torch.isfinite(kept).all():
        raise ValueError(f"Expected `state` to be finite, but {name!r} is not.")
    return kept
