"""How runs share a working batch: target after target on the examples that are open, so many rows at a time.

A stage that went through its targets one by one would compute on ever smaller batches as examples break. Here rows that
fall free go to the next targets. What is found is the same: rows are independent, and `BestSoFar` gives an example's
break to the earliest run that has one, as if the later runs had never begun.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

__all__ = ["Part", "batches", "joined", "pick"]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Part:
    """The rows of a batch that belong to one run.

    Args:
        run: its number.
        positions: of the examples, int64 `(M,)`, M at least 1.
    """

    run: int
    positions: Tensor


def batches(
    n_runs: int, still_open: Callable[[], Tensor], *, size: int, wanted: Tensor | None = None
) -> Iterator[list[Part]]:
    """Yield batches of at most `size` rows until every run has been on every example that was open at its turn.

    Args:
        n_runs: how many runs there are, in order.
        still_open: positions of the examples that no run has broken, int64, ascending; asked before each batch.
        size: at least 1.
        wanted: bool `(N, n_runs)`, which examples each run is for; None means all.
    """
    run, after = 0, -1  # the next run, and the last position that it has had
    while run < n_runs:
        positions = still_open()
        parts: list[Part] = []
        free = size
        while run < n_runs and free:
            waiting = positions[positions > after] if after >= 0 else positions
            if wanted is not None:
                waiting = waiting[wanted[waiting, run]]
            taken = waiting[:free]
            if len(taken):
                parts.append(Part(run=run, positions=taken))
            free -= len(taken)
            run, after = (run, int(taken[-1])) if len(taken) < len(waiting) else (run + 1, -1)
        if parts:
            yield parts


def joined(parts: list[Part]) -> tuple[Tensor, Tensor]:
    """Positions and run numbers of a batch's rows, int64 `(M,)` each."""
    positions = torch.cat([part.positions for part in parts])
    runs = torch.cat([torch.full_like(part.positions, part.run) for part in parts])
    return positions, runs


def pick(state: T, rows: Tensor) -> T:
    """The dataclass `state` with rows `rows`, int64 `(M,)`, of every tensor in it, nested dataclasses included.

    Working batches shrink so: of everything that a batch carries, the same rows stay.
    """
    if not is_dataclass(state) or isinstance(state, type):
        raise ValueError(f"Expected `state` to be a dataclass instance, but got {type(state).__name__}.")
    picked = {each.name: _of(getattr(state, each.name), rows) for each in fields(state)}
    return replace(state, **picked)


def _of(value: Any, rows: Tensor) -> Any:
    if isinstance(value, Tensor):
        return value[rows]
    return pick(value, rows) if is_dataclass(value) else value
