"""What an attack asks of a model on its way: the points at which the model was wrong."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bench.core.types import Examples, ThreatModel
from bench.diagnostics.queries import is_wrong
from bench.evaluation import inside

__all__ = ["Path"]


class Path(nn.Module):
    """The model as one attack sees it; remembers for which examples it was shown a break inside the ball.

    Attacks drop and reorder rows, so a queried point belongs to every example that has it in its ball.

    Args:
        module: the model.
        examples: those that are attacked.
        threat_model: what the attack may do.
    """

    def __init__(self, module: nn.Module, examples: Examples, threat_model: ThreatModel) -> None:
        super().__init__()
        self.module = module
        self.training = False
        self._examples = examples
        self._threat_model = threat_model
        self.broken = torch.zeros(len(examples), dtype=torch.bool, device=examples.inputs.device)

    def forward(self, inputs: Tensor) -> Any:
        """Return what the model answers to `inputs` `(N, C, H, W)`."""
        logits = self.module(inputs)
        with torch.no_grad():
            self._note(inputs.detach(), logits.detach())
        return logits

    def _note(self, points: Tensor, logits: Tensor) -> None:
        labels, clean = self._examples.labels, self._examples.inputs
        aligned = points.shape == clean.shape
        if aligned and bool(inside(points, clean, self._threat_model).all()):
            self.broken |= is_wrong(logits, labels)
            return
        for point, scores in zip(points, logits, strict=True):
            near = inside(point.expand_as(clean), clean, self._threat_model)
            self.broken |= near & is_wrong(scores.expand(len(labels), -1), labels)
