"""The global random generators that a model may draw from: torch's on CPU and CUDA, NumPy's and Python's.

Draws are those of a kind of device: CUDA's generator gives other numbers than the CPU's from the same seed.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch

from bench.core import digest

__all__ = ["generators_kept", "seed_generators"]


@contextlib.contextmanager
def generators_kept() -> Iterator[None]:
    """Put the state of all of them back at the end of the block."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None  # type: ignore[no-untyped-call]
    plain, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(plain)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)


def seed_generators(*key: int | str) -> None:
    """Seed all of them by a key; other keys draw independently.

    Args:
        key: what the draws are for: a seed, a name, an example's index, the number of a pass.
    """
    word = int(digest.of_json(list(key))[:16], 16)
    random.seed(word)
    np.random.seed(word & 0xFFFFFFFF)
    torch.default_generator.manual_seed(word)
    # Before that, `torch.manual_seed` takes milliseconds to note who asked for it.
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(word)
