"""Views of a structured model as models of their own: what naive evaluations judge by, and static sub-networks."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from bench.attacks.adaptive.pairs import with_dummies
from bench.attacks.adaptive.routes import ADVERSARIAL, CLEAN, static_route, with_router

__all__ = ["RawLogits", "StaticNetwork", "ViewName", "view_of"]

ViewName = Literal["model", "raw", "static-clean", "static-adversarial"]


class RawLogits(nn.Module):
    """A model with dummy classes whose answer is not recovered: 2C logits, of which a dummy is never the label.

    Args:
        module: the full model.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the raw logits `(N, 2C)`."""
        return with_dummies(self.module, "raw").raw(inputs)


class StaticNetwork(nn.Module):
    """A static sub-network of a routed model: no signals, one branch.

    Args:
        module: the full model.
        branch: 0 clean, 1 adversarial.
    """

    def __init__(self, module: nn.Module, branch: int) -> None:
        super().__init__()
        self.module = module
        self.branch = branch

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the sub-network's logits `(N, C)`; the router only says how many signals there are."""
        model = with_router(self.module, "static")
        with torch.no_grad():
            route = static_route(model.route(inputs), self.branch)
        return model.routed(inputs, route)


def view_of(module: nn.Module, view: ViewName) -> nn.Module:
    """The model that `view` makes of `module`; "model" is the module itself."""
    if view == "raw":
        return RawLogits(module)
    if view == "model":
        return module
    return StaticNetwork(module, CLEAN if view == "static-clean" else ADVERSARIAL)
