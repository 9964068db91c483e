"""Waiting for what a device still computes, before a clock is read."""

from __future__ import annotations

import torch

__all__ = ["wait_for"]


def wait_for(device: torch.device) -> None:
    """Return when everything that was asked of a device is done; elsewhere than on CUDA it is already."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
