"""Models: from a name to a module that maps inputs in [0, 1] to logits."""

from __future__ import annotations

from bench.models.checkpoint import Accuracy, ArchitectureSpec, Manifest
from bench.models.loaded import LoadedModel
from bench.models.normalize import Normalize
from bench.models.registry import Listing, default_threat_model, installed, listing, load, names, preprocessing
from bench.models.zoo import ModelSpec

__all__ = [
    "Accuracy",
    "ArchitectureSpec",
    "Listing",
    "LoadedModel",
    "Manifest",
    "ModelSpec",
    "Normalize",
    "default_threat_model",
    "installed",
    "listing",
    "load",
    "names",
    "preprocessing",
]
