"""Whether data that is read as a whole fits into memory, said before it is read."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Sequence
from pathlib import Path

from bench.core.errors import BenchError

__all__ = ["expect_to_fit"]

_CGROUP = Path("/sys/fs/cgroup/memory.max")
_FLOATS = 8  # bytes of each value as float32, and of what is made of it while a digest is taken


def expect_to_fit(shape: Sequence[int], *, itemsize: int = 1, source: str) -> None:
    """Refuse data that would take more memory than there is.

    Args:
        shape: of what is read.
        itemsize: bytes of each value as it is read.
        source: what would be read, for the message.

    Raises:
        BenchError: if it is too large for this machine.
    """
    needed, available = math.prod(shape) * (itemsize + _FLOATS), _memory()
    if available is not None and needed > available:
        raise BenchError(
            f"{source}: it would take {needed / 2**30:,.1f} GiB of memory, but there are {available / 2**30:,.1f}."
            " Resize the images to the size that the model takes, or take fewer."
        )


def _memory() -> int | None:
    """Bytes of memory that this process may use; None where the system does not say."""
    found = []
    with contextlib.suppress(AttributeError, ValueError, OSError):  # no sysconf on Windows
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with contextlib.suppress(ValueError, OSError):  # "max", or no control group
        found.append(int(_CGROUP.read_text(encoding="ascii")))
    return min(found, default=None)
