"""Network architectures: plain torch modules, one family a file."""

from __future__ import annotations

from bench.core.registry import Registry
from bench.models.architectures.architecture import Architecture

__all__ = ["ARCHITECTURES", "Architecture"]

ARCHITECTURES: Registry[Architecture] = Registry("architecture", "bench.models.architectures")
