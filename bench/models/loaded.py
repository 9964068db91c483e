"""A model that is ready to be evaluated."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from bench.models.manifest import ArchitectureSpec, Manifest
from bench.models.zoo.spec import ModelSpec

__all__ = ["LoadedModel", "freeze"]


@dataclass(frozen=True, kw_only=True)
class LoadedModel:
    """A model that is ready to be evaluated.

    Args:
        name: as it was asked for: "aw-net", "robustbench:Rice2020Overfitting", "net.py:make".
        module: maps inputs in [0, 1] to logits `(N, num_classes)`; in eval mode, its parameters frozen.
        digest: of its state: names, dtypes, shapes and bytes.
        factory_digest: of the sources that build it.
        num_classes: number of logits.
        manifest: of the checkpoint, for models with one.
        spec: the zoo's description, for models of the zoo.
        architecture: what it was built as, for models of the zoo.
    """

    name: str
    module: nn.Module
    digest: str
    factory_digest: str
    num_classes: int
    manifest: Manifest | None = None
    spec: ModelSpec | None = None
    architecture: ArchitectureSpec | None = None


def freeze(module: nn.Module, device: str | torch.device) -> nn.Module:
    """Put `module` on `device`, in eval mode, with frozen parameters; return it."""
    return module.to(device).eval().requires_grad_(False)
