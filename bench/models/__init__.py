"""Models: from a name to a module that maps inputs in [0, 1] to logits."""

from __future__ import annotations

from bench.models.adapting import Adapted, adapted
from bench.models.answers import check_logits, check_repeated, differs
from bench.models.blueprint import Blueprint, blueprint_of, dump_state, load_state, rebuild
from bench.models.building import build_empty
from bench.models.checkpoint import (
    Accuracy,
    ArchitectureSpec,
    Manifest,
    read_weights,
    rounded_state,
    weights_path,
    write_checkpoint,
)
from bench.models.digest import architecture_digest, source_contents, state_digest
from bench.models.imports import Sources, imported_anew, imported_by, source_file_of
from bench.models.loaded import LoadedModel, check_values, set_to_eval
from bench.models.normalize import Normalize
from bench.models.registry import (
    Listing,
    default_threat_model,
    installed,
    listing,
    load,
    names,
    preprocessing,
    shipped_digest,
)
from bench.models.sources import SOURCES, source_of
from bench.models.sources.onnx import OnnxModel
from bench.models.sources.user_file import is_user_file, value_in
from bench.models.zoo import ModelSpec

__all__ = [
    "SOURCES",
    "Accuracy",
    "Adapted",
    "ArchitectureSpec",
    "Blueprint",
    "Listing",
    "LoadedModel",
    "Manifest",
    "ModelSpec",
    "Normalize",
    "OnnxModel",
    "Sources",
    "adapted",
    "architecture_digest",
    "blueprint_of",
    "build_empty",
    "check_logits",
    "check_repeated",
    "check_values",
    "default_threat_model",
    "differs",
    "dump_state",
    "imported_anew",
    "imported_by",
    "installed",
    "is_user_file",
    "listing",
    "load",
    "load_state",
    "names",
    "preprocessing",
    "read_weights",
    "rebuild",
    "rounded_state",
    "set_to_eval",
    "shipped_digest",
    "source_contents",
    "source_file_of",
    "source_of",
    "state_digest",
    "value_in",
    "weights_path",
    "write_checkpoint",
]
