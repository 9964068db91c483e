"""Randomness keyed per example: the same example draws the same numbers in any batch, order or shard, on any device.

Philox-4x32-10, the counter-based generator of Salmon et al. 2011 ("Parallel random numbers: as easy as 1, 2, 3"), in
int64 tensor arithmetic. The key comes from the stream (seed, attack, target, restart), the counter from the example's
index, the step and the position of the number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.core import digest
from bench.core.types import Norm
from bench.ops import norms

__all__ = ["Stream", "in_unit_ball", "normal", "philox", "random_bits", "uniform"]

_MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_WORDS = 4
_FLOAT_BITS = 24


@dataclass(frozen=True, kw_only=True)
class Stream:
    """What a sequence of draws is for; different streams are independent.

    Args:
        seed: of the run.
        attack: name of the attack.
        target: target class or its rank, where there is one.
        restart: number of the restart.
    """

    seed: int
    attack: str
    target: int = 0
    restart: int = 0

    @property
    def key(self) -> tuple[int, int]:
        """Two 32-bit words of the SHA-256 of the stream."""
        word = digest.of_json([self.seed, self.attack, self.target, self.restart])[:16]
        return int(word[:8], 16), int(word[8:], 16)


def random_bits(stream: Stream, indices: Tensor, shape: Sequence[int], *, step: int | Tensor = 0) -> Tensor:
    """Uniform 32-bit words.

    Args:
        stream: what they are for.
        indices: int64 `(N,)`, the examples' positions in the official split.
        shape: shape of each example's draw.
        step: number of the step, or one for each example, int64 `(N,)`; different steps draw independently.

    Returns:
        int64 `(N, *shape)`, in [0, 2^32).
    """
    count = math.prod(shape)
    blocks = torch.arange((count + _WORDS - 1) // _WORDS, device=indices.device)
    low = (indices & _MASK)[:, None]
    high = (indices >> 32)[:, None]
    size = (len(indices), len(blocks))
    steps = step[:, None] if isinstance(step, Tensor) else torch.full_like(low, step)
    counter = [part.expand(size) for part in (blocks[None, :], steps, low, high)]
    words = torch.stack(philox(counter, stream.key), dim=-1)  # (N, blocks, 4)
    return words.flatten(1)[:, :count].reshape(len(indices), *shape)


def uniform(stream: Stream, indices: Tensor, shape: Sequence[int], *, step: int | Tensor = 0) -> Tensor:
    """Uniform numbers in [0, 1), float32 `(N, *shape)`, multiples of 2^-24; arguments as in `random_bits`."""
    bits = random_bits(stream, indices, shape, step=step) >> (32 - _FLOAT_BITS)
    return bits.to(torch.float32) * 2.0**-_FLOAT_BITS


def normal(stream: Stream, indices: Tensor, shape: Sequence[int], *, step: int | Tensor = 0) -> Tensor:
    """Standard normal numbers by Box and Muller (1958), float32 `(N, *shape)`; arguments as in `random_bits`."""
    first, second = uniform(stream, indices, (2, *shape), step=step).double().unbind(1)
    # 1 - u lies in (0, 1], so the logarithm is finite.
    return (torch.sqrt(-2 * torch.log1p(-first)) * torch.cos(2 * math.pi * second)).float()


def in_unit_ball(
    stream: Stream, indices: Tensor, shape: Sequence[int], norm: Norm, *, step: int | Tensor = 0
) -> Tensor:
    """A point uniform in the unit ball of `norm`, float32 `(N, *shape)`; other arguments as in `random_bits`.

    In L2 a uniform direction times u^(1/d), u uniform; in L1 the direction is one of exponential draws with signs.
    """
    if norm is Norm.LINF:
        return 2 * uniform(stream, indices, shape, step=step) - 1
    if norm is Norm.L1:
        signed = 2 * uniform(stream, indices, shape, step=2 * step) - 1
        # A draw of -1 would be infinitely long: it becomes the number before it.
        draws = -signed.sign() * torch.log1p(-signed.abs().clamp_max(1 - 2.0**-_FLOAT_BITS))
        heading = draws / norms.per_example(norms.size(draws, norm).clamp_min(norms.SMALLEST_LENGTH), draws)
    else:
        heading = norms.direction(normal(stream, indices, shape, step=2 * step), norm)
    radius = uniform(stream, indices, (1,), step=2 * step + 1).squeeze(1) ** (1 / math.prod(shape))
    return heading * norms.per_example(radius, heading)


def philox(counter: Sequence[Tensor], key: tuple[int, int]) -> tuple[Tensor, ...]:
    """Ten rounds of Philox-4x32.

    Args:
        counter: four int64 tensors of one shape, each in [0, 2^32).
        key: two 32-bit words.

    Returns:
        Four int64 tensors of that shape, each in [0, 2^32).
    """
    first, second, third, fourth = counter
    for number in range(_ROUNDS):
        keys = [(word + number * step) & _MASK for word, step in zip(key, _KEY_STEPS, strict=True)]
        high, low = _product(first, _MULTIPLIERS[0])
        other_high, other_low = _product(third, _MULTIPLIERS[1])
        first, second = other_high ^ second ^ keys[0], other_low
        third, fourth = high ^ fourth ^ keys[1], low
    return first, second, third, fourth


def _product(word: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """High and low 32 bits of a 32 x 32 bit product, without leaving the range of int64."""
    lower = (word & 0xFFFF) * factor  # below 2^48
    upper = (word >> 16) * factor  # below 2^48
    total = upper + (lower >> 16)  # below 2^49
    return total >> 16, ((total & 0xFFFF) << 16) | (lower & 0xFFFF)
