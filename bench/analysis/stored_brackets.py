"""What stored brackets of smallest adversarial perturbations say: robust accuracy at any radius, the median radius."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

__all__ = ["StoredBrackets"]


@dataclass(frozen=True, kw_only=True)
class StoredBrackets:
    """Brackets of one model.

    Args:
        lower: largest radius that each example withstood; 0 where none was.
        upper: distance of its nearest break: 0 where it is wrong already, None where nothing broke it.
    """

    lower: tuple[float, ...]
    upper: tuple[float | None, ...]

    @classmethod
    def of(cls, values: dict[str, Any]) -> StoredBrackets:
        """Out of JSON values with these names."""
        return cls(lower=tuple(values["lower"]), upper=tuple(values["upper"]))

    def __len__(self) -> int:
        return len(self.lower)

    @property
    def n_clean(self) -> int:
        """Examples that are correct without any perturbation."""
        return sum(upper is None or upper > 0 for upper in self.upper)

    @property
    def middles(self) -> tuple[float, ...]:
        """The middle of each bracket; infinite where nothing broke the example."""
        pairs = zip(self.lower, self.upper, strict=True)
        return tuple(math.inf if upper is None else (lower + upper) / 2 for lower, upper in pairs)

    def n_robust(self, epsilon: float) -> int:
        """Examples that count as robust at `epsilon`, above 0: inside a bracket, those whose middle lies above it."""
        ends = zip(self.lower, self.upper, self.middles, strict=True)
        return sum(
            (upper is None or epsilon < upper) and (lower >= epsilon or epsilon < middle)
            for lower, upper, middle in ends
        )

    def n_unknown(self, epsilon: float) -> int:
        """Examples inside whose bracket `epsilon` lies: neither withstood nor broken there."""
        ends = zip(self.lower, self.upper, strict=True)
        return sum(lower < epsilon and (upper is None or epsilon < upper) for lower, upper in ends)

    @property
    def median(self) -> float | None:
        """Median of the middles over correct examples; None where no example is correct, infinite above all breaks."""
        pairs = zip(self.middles, self.upper, strict=True)
        middles = sorted(middle for middle, upper in pairs if upper is None or upper > 0)
        return middles[(len(middles) - 1) // 2] if middles else None
