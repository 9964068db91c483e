"""Which function a module is: its float32 logits on fixed inputs, wherever its parameters come from.

Weights and sources do not say all that a model computes: plain attributes, members in lists, closures, configuration
and environment decide too. The fixed inputs are the first images of the data, the same with noise, and patterns of
noise that depend on nothing but the shape. So a defence that acts on noise alone shows, whatever strength it asks for.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn

from bench.core.errors import BenchError
from bench.core.plain_text import reason_of
from bench.evaluation.model_guard import guarded
from bench.models import check_logits
from bench.ops.full_float32 import full_float32
from bench.ops.generators import seed_generators
from bench.ops.sampling import Stream, random_bits, uniform
from bench.row import Fingerprint, pack_logits

__all__ = ["FINGERPRINT_IMAGES", "fixed_inputs", "take_fingerprint"]

FINGERPRINT_IMAGES = 8
_STRENGTHS = (2 / 255, 8 / 255, 0.1, 0.3)
_CONTRASTS = (0.1, 1.0)
_GRAINS = (1, 4)
_STREAM = Stream(seed=0, attack="fingerprint")
_DIGITS = 12


def take_fingerprint(module: nn.Module, images: Tensor) -> Fingerprint:
    """Return the logits of `module` on fixed inputs; it is handed back as it was.

    A stochastic model draws from generators that are seeded, so that its logits are the same in every run on one kind
    of device.

    Args:
        module: inputs `(N, C, H, W)` in [0, 1] to logits `(N, num_classes)`.
        images: `(N, C, H, W)`, the first of the split, or of those of it that there are; eight are looked at. The
            module computes where they lie.

    Raises:
        BenchError: if it fails on them, or does not return logits.
    """
    inputs = fixed_inputs(images[:FINGERPRINT_IMAGES].cpu())
    with guarded(module, images.device), full_float32(), torch.no_grad():
        seed_generators("fingerprint")
        try:
            logits = module(inputs.clone().to(images.device))
        except Exception as error:
            shape = tuple(inputs.shape)
            raise BenchError(f"The model fails on images with noise, {shape} in [0, 1]: {reason_of(error)}") from error
        check_logits(logits, len(inputs))
        rows = logits.float().cpu().tolist()
    return Fingerprint(logits={_name(one): pack_logits(row) for one, row in zip(inputs, rows, strict=True)})


def fixed_inputs(images: Tensor) -> Tensor:
    """The images, eight with noise of several strengths, and patterns of several contrasts, `(M, C, H, W)` in [0, 1].

    Each is made by single operations on float32 numbers, so it is the same to the bit on every machine.

    Args:
        images: float32 `(N, C, H, W)` on the CPU, in [0, 1], N from 1.
    """
    shape = images.shape[1:]
    numbers = torch.arange(FINGERPRINT_IMAGES)
    strengths = torch.tensor(_STRENGTHS)[numbers % len(_STRENGTHS)].view(-1, 1, 1, 1)
    signs = random_bits(_STREAM, numbers, shape).bitwise_and(1).bool()
    noisy = (images[numbers % len(images)] + torch.where(signs, strengths, -strengths)).clamp(0, 1)
    patterns = [(_grains(grain, shape) - 0.5) * contrast + 0.5 for grain in _GRAINS for contrast in _CONTRASTS]
    return torch.cat([images, noisy, *patterns])


def _grains(size: int, shape: torch.Size) -> Tensor:
    """Uniform noise in squares of `size` pixels, `(1, C, H, W)`."""
    channels, height, width = shape
    coarse = uniform(
        _STREAM, torch.tensor([FINGERPRINT_IMAGES + size]), (channels, -(-height // size), -(-width // size))
    )
    return coarse.repeat_interleave(size, 2).repeat_interleave(size, 3)[:, :, :height, :width]


def _name(inputs: Tensor) -> str:
    return hashlib.sha256(inputs.numpy().tobytes()).hexdigest()[:_DIGITS]
