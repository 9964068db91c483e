"""The zoo: one file per trained model."""

from __future__ import annotations

from bench.core.registry import Registry
from bench.models.zoo.spec import ModelSpec

__all__ = ["ZOO", "ModelSpec"]

ZOO: Registry[ModelSpec] = Registry("model", "bench.models.zoo")
