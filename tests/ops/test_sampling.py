"""Tests of the counter-based generator."""

from __future__ import annotations

import pytest
import torch

from bench.core.types import Norm
from bench.ops.sampling import Stream, in_unit_ball, normal, philox, random_bits, uniform

ONES = 0xFFFFFFFF
STREAM = Stream(seed=7, attack="pgd")

# Published in the Random123 distribution of Salmon et al., file kat_vectors, philox4x32 with 10 rounds.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES, ONES, ONES, ONES), (ONES, ONES), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_philox_gives_the_published_vectors(counter, key, expected):
    """The generator is Philox-4x32-10, word for word."""
    words = philox([torch.tensor([word]) for word in counter], key)
    assert tuple(int(word) for word in words) == expected


def test_draws_do_not_depend_on_the_batch():
    """An example draws the same numbers alone, shuffled, and among others."""
    together = uniform(STREAM, torch.arange(100), (3, 5, 5), step=2)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(0))
    assert torch.equal(uniform(STREAM, order, (3, 5, 5), step=2), together[order])
    assert torch.equal(uniform(STREAM, torch.tensor([41]), (3, 5, 5), step=2)[0], together[41])


@pytest.mark.parametrize(
    "other",
    [
        Stream(seed=8, attack="pgd"),
        Stream(seed=7, attack="cw"),
        Stream(seed=7, attack="pgd", target=1),
        Stream(seed=7, attack="pgd", restart=1),
    ],
)
def test_every_part_of_a_stream_matters(other):
    """Another seed, attack, target or restart draws other numbers."""
    indices = torch.arange(4)
    assert not (random_bits(STREAM, indices, (8,)) == random_bits(other, indices, (8,))).any()


def test_steps_and_examples_draw_independently():
    """Another step or another index, also one beyond 32 bits, draws other numbers."""
    indices = torch.tensor([3, 4, 3 + 2**32])
    words = torch.cat([random_bits(STREAM, indices, (8,), step=step) for step in (0, 1)])
    assert len(words.unique()) == words.numel()


def test_uniform_numbers_are_uniform():
    """Numbers lie in [0, 1), and mean and deviation are those of the uniform distribution."""
    numbers = uniform(STREAM, torch.arange(64), (1000,))
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert abs(numbers.mean() - 0.5) < 4 * (1 / 12 / 64_000) ** 0.5
    assert abs(numbers.var() - 1 / 12) < 1e-3


def test_normal_numbers_are_normal():
    """Mean, deviation and tails are those of the standard normal distribution, and no number is infinite."""
    numbers = normal(STREAM, torch.arange(64), (1000,))
    assert numbers.isfinite().all()
    assert abs(numbers.mean()) < 4 * 64_000**-0.5
    assert abs(numbers.var() - 1) < 0.03
    assert abs((numbers.abs() > 1.96).float().mean() - 0.05) < 0.005


def test_a_direction_in_l1_is_finite_whatever_is_drawn():
    """The example's draw contains a 0, once in 16 million numbers, which stands for an infinitely long coordinate."""
    stream, index, shape = Stream(seed=0, attack="pgd-20"), torch.tensor([1202]), (3, 32, 32)
    assert (uniform(stream, index, shape) == 0).any()
    point = in_unit_ball(stream, index, shape, Norm.L1)
    assert point.isfinite().all()
    assert 0.9 < point.abs().sum() <= 1 + 1e-5
