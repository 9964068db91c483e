"""Runs work in this process: smaller batches when memory runs out, one retry when an attack fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from bench.core.errors import BenchError, WorkFailedError
from bench.core.plain_text import reason_of
from bench.core.types import Examples

__all__ = ["Batches"]

T = TypeVar("T")


class Batches:
    """Cuts examples into compute batches and runs a function on each.

    Args:
        batch_size: most examples at once; it halves, for the rest of the run, whenever GPU memory runs out.
    """

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size

    def run(self, work: Callable[[Examples], T], examples: Examples, *, whole: bool, what: str) -> list[T]:
        """Return `work` of each compute batch, in order.

        Args:
            work: the function; called once more where it raises.
            examples: what it works on, at least one.
            whole: keep the examples in one batch while memory allows, whatever the batch size.
            what: how messages call the work ("pgd-20 on chunk 3").

        Raises:
            WorkFailedError: if it raises twice, or memory does not suffice for one example.
            BenchError: one that `work` raises, at once.
        """
        size = len(examples) if whole else min(self.batch_size, len(examples))
        while True:
            try:
                return [_twice(work, part, what) for part in examples.split(size)]
            except torch.OutOfMemoryError as error:
                if size == 1:
                    raise WorkFailedError(f"Out of memory: {what}, even with one example at a time.") from error
            size //= 2
            self.batch_size = min(self.batch_size, size)
            torch.cuda.empty_cache()


def _twice(work: Callable[[Examples], T], examples: Examples, what: str) -> T:
    try:
        return work(examples)
    except (BenchError, torch.OutOfMemoryError):
        raise
    except Exception:  # noqa: BLE001 - an attack may raise anything; the second time it is told
        pass
    try:
        return work(examples)
    except (BenchError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise WorkFailedError(f"Failed twice: {what}: {reason_of(error)}. What was finished is kept.") from error
