"""Shares of examples that a measurement of a model's structure holds for."""

from __future__ import annotations

from collections import Counter

import torch
from torch import nn

from bench.attacks.adaptive.report import Measurement
from bench.core.types import Examples, ThreatModel
from bench.evaluation.journal.chunks import CHUNK_SIZE
from bench.evaluation.model_guard import borrowed
from bench.evaluation.precision import full_float32

__all__ = ["shares"]


def shares(
    measurement: Measurement,
    module: nn.Module,
    examples: Examples,
    threat_model: ThreatModel,
    *,
    seed: int,
    device: torch.device,
) -> dict[str, float]:
    """For each thing that is measured, the share of examples for which it holds, in [0, 1].

    Args:
        measurement: what to ask.
        module: the model; it is handed back as it was.
        examples: at least one.
        threat_model: what an attacker may do.
        seed: of the attacks' draws.
        device: where to compute.
    """
    counts: Counter[str] = Counter()
    with borrowed(module, device), full_float32():
        for part in examples.split(CHUNK_SIZE):
            found = measurement.measure(module, part.to(device), threat_model, seed=seed)
            counts.update({name: int(holds.sum()) for name, holds in found.items()})
    return {name: count / len(examples) for name, count in counts.items()}
