"""What a stage did to some examples: one type from a judged batch over a journal's chunk to the whole run."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np

from bench.row import OPTIONAL
from bench.row.arrays import Breaks, merge_breaks

__all__ = ["StageResult"]

_TOTAL = {"total": True}


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """What one stage did to some examples; the tuples have one item for each of them, the numbers are totals.

    A new count is a field here, and where it is made, and where the row shows it: parts are put together and divided
    field by field. The metadata of a tuple say what it holds of an example that the stage did not see.

    Args:
        name: of the stage, as its attack calls it.
        attacked: which examples the stage saw.
        robust: of those, which withstood it.
        margin: `z_y - max_{k != y} z_k` of the verified candidate.
        finite: whether logits were finite.
        right: bit j says whether pass j of the verdict was right; a deterministic model has one pass.
        moved: whether the candidate lay outside the threat model and was pulled back.
        claimed: whether a search in lower precision claimed a break.
        rejected: whether it claimed one that did not hold in float32.
        seconds: time it took.
        forwards: examples passed forwards by the attack.
        backwards: gradients taken by the attack.
        batch_size: most examples that were computed at once.
        breaks: adversarial examples that show more than those of earlier stages; None where there are none.
    """

    name: str
    attacked: tuple[bool, ...] = field(metadata={"unseen": False})
    robust: tuple[bool, ...] = field(metadata={"unseen": False})
    margin: tuple[float, ...] = field(metadata={"unseen": math.inf})
    finite: tuple[bool, ...] = field(metadata={"unseen": True})
    right: tuple[int, ...] = field(metadata={"unseen": 0})
    moved: tuple[bool, ...] = field(metadata={"unseen": False})
    claimed: tuple[bool, ...] = field(metadata={"unseen": False})
    rejected: tuple[bool, ...] = field(metadata={"unseen": False})
    seconds: float = field(default=0.0, metadata=_TOTAL)
    forwards: int = field(default=0, metadata=_TOTAL)
    backwards: int = field(default=0, metadata=_TOTAL)
    batch_size: int
    breaks: Breaks | None = field(default=None, compare=False, repr=False, metadata=OPTIONAL)

    @property
    def n_robust(self) -> int:
        """Examples that the stage saw and that withstood it."""
        return sum(self.robust)

    @property
    def broken(self) -> tuple[bool, ...]:
        """Which examples the stage saw and broke."""
        return tuple(seen and not held for seen, held in zip(self.attacked, self.robust, strict=True))

    @property
    def n_moved(self) -> int:
        """Candidates that lay outside the threat model and were pulled back."""
        return sum(self.moved)

    @property
    def n_claimed(self) -> int:
        """Breaks that a search in lower precision claimed."""
        return sum(self.claimed)

    @property
    def n_rejected(self) -> int:
        """Of those, how many did not hold in float32."""
        return sum(self.rejected)

    @classmethod
    def none(cls, name: str, *, batch_size: int) -> StageResult:
        """What a stage does to no examples."""
        columns: dict[str, Any] = dict.fromkeys(_COLUMNS, ())
        return cls(name=name, batch_size=batch_size, **columns)

    @classmethod
    def concat(cls, parts: Sequence[StageResult]) -> StageResult:
        """The results of one stage on consecutive examples, at least one, in one."""
        breaks = [part.breaks for part in parts if part.breaks is not None]
        return parts[0]._with(
            **{name: tuple(item for part in parts for item in getattr(part, name)) for name in _COLUMNS},
            **{name: sum(getattr(part, name) for part in parts) for name in _TOTALS},
            batch_size=min(part.batch_size for part in parts),
            breaks=merge_breaks(*breaks) if breaks else None,
        )

    def split(self, parts: Sequence[Sequence[int]]) -> tuple[StageResult, ...]:
        """Divide it; each part gets its share of the totals by the examples in it that the stage saw.

        Args:
            parts: official indices of all examples, in order, part by part.
        """
        ends = list(accumulate(map(len, parts), initial=0))
        seen = [sum(self.attacked[:end]) for end in ends]
        return tuple(
            self._with(
                **{name: getattr(self, name)[start:end] for name in _COLUMNS},
                **{name: _share(getattr(self, name), before, after, seen[-1]) for name in _TOTALS},
                breaks=_among(self.breaks, indices),
            )
            for indices, start, end, before, after in zip(parts, ends, ends[1:], seen, seen[1:], strict=False)
        )

    def spread(self, mask: Sequence[bool]) -> StageResult:
        """Put it among examples that the stage did not see: `mask` marks those that it did, one item per example."""
        places = list(accumulate(mask, initial=0))

        def column(name: str, unseen: Any) -> tuple[Any, ...]:
            items = getattr(self, name)
            return tuple(items[place] if seen else unseen for seen, place in zip(mask, places, strict=False))

        return self._with(**{name: column(name, unseen) for name, unseen in _COLUMNS.items()})

    def beside(self, other: StageResult) -> StageResult:
        """With what the same stage did to other examples of the same run, none of them in common."""

        def column(name: str) -> tuple[Any, ...]:
            pairs = zip(getattr(self, name), getattr(other, name), other.attacked, strict=True)
            return tuple(there if seen else here for here, there, seen in pairs)

        return self._with(
            **{name: column(name) for name in _COLUMNS},
            **{name: getattr(self, name) + getattr(other, name) for name in _TOTALS},
            batch_size=min(self.batch_size, other.batch_size),
        )

    def sparing(self, spared: Sequence[bool]) -> StageResult:
        """The same, with examples that the stage was spared counted as robust to it."""
        return self._with(robust=tuple(held or left for held, left in zip(self.robust, spared, strict=True)))

    def pick(self, order: Sequence[int]) -> StageResult:
        """The examples at these positions, in this order."""
        return self._with(**{name: tuple(getattr(self, name)[position] for position in order) for name in _COLUMNS})

    def _with(self, **values: Any) -> StageResult:
        return dataclasses.replace(self, **values)


_COLUMNS: dict[str, Any] = {
    each.name: each.metadata["unseen"] for each in dataclasses.fields(StageResult) if "unseen" in each.metadata
}
_TOTALS = tuple(each.name for each in dataclasses.fields(StageResult) if "total" in each.metadata)


def _share(total: Any, before: int, after: int, n_seen: int) -> Any:
    """The part of a total that belongs to the examples from `before` to `after` of `n_seen`; integers add up."""
    n_seen = max(1, n_seen)
    if isinstance(total, int):
        return total * after // n_seen - total * before // n_seen
    return total * (after - before) / n_seen


def _among(breaks: Breaks | None, indices: Sequence[int]) -> Breaks | None:
    which = np.isin(breaks.indices, indices) if breaks is not None else np.zeros(0, np.bool_)
    return breaks.pick(which) if breaks is not None and bool(which.any()) else None
