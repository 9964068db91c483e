"""What the harness tells while it works; whoever listens draws it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Progress", "ProgressCallback", "Tracker"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far the evaluation is.

    Args:
        attack: name of the attack, or "clean".
        stage: name of its stage; the attack's own name where it has one stage.
        chunk: chunks of this stage that are done.
        n_chunks: chunks of this stage.
        n_robust: examples that are still robust to all that was tried.
        n_examples: examples in all.
        seconds: since the start.
        eta: seconds that the rest will take, by the work done so far; None while nothing is known.
    """

    attack: str
    stage: str
    chunk: int
    n_chunks: int
    n_robust: int
    n_examples: int
    seconds: float
    eta: float | None


ProgressCallback = Callable[[Progress], None]


class Tracker:
    """Keeps the time and tells the listener.

    Args:
        listener: called after every group of chunks; None for silence.
        work: expected work of the whole evaluation, in any unit (the attacks' passes per example, summed).
        n_examples: examples in all.
    """

    def __init__(self, listener: ProgressCallback | None, *, work: float, n_examples: int) -> None:
        self._listener = listener
        self._work_left = work
        self._work_computed = 0.0
        self._n_examples = n_examples
        self._start = time.perf_counter()

    def advance(
        self, *, attack: str, stage: str, chunk: int, n_chunks: int, n_robust: int, work: float, reused: bool
    ) -> None:
        """Say that a group of chunks is done.

        Args:
            attack: as in `Progress`.
            stage: as in `Progress`.
            chunk: as in `Progress`.
            n_chunks: as in `Progress`.
            n_robust: as in `Progress`.
            work: the share of the expected work that this group was.
            reused: it came from the journal, so it says nothing about speed.
        """
        self._work_left -= work
        self._work_computed += 0.0 if reused else work
        if self._listener is None:
            return
        seconds = time.perf_counter() - self._start
        eta = seconds * max(self._work_left, 0.0) / self._work_computed if self._work_computed else None
        event = Progress(
            attack=attack,
            stage=stage,
            chunk=chunk,
            n_chunks=n_chunks,
            n_robust=n_robust,
            n_examples=self._n_examples,
            seconds=seconds,
            eta=eta,
        )
        self._listener(event)
