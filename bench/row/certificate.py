"""Of which examples is proved that nothing breaks them: a robust accuracy bounded from below."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from bench.row.indices import format_indices, parse_indices
from bench.row.packing import pack_verdicts, unpack_verdicts
from bench.row.result import expect_count

__all__ = ["Certificate"]


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What `bench certify` proved for the row's model, data and threat model.

    Args:
        method: how, in words.
        code: digest of the source that computed it, so that what a mistake in it touched can be found.
        model: digest of the weights that it is about.
        indices: of the examples that were tried, as ranges; of others nothing is proved.
        n_proved: how many of them no allowed input breaks.
        proved: packed verdicts, one per example that was tried.

    Raises:
        ContradictionError: if `n_proved` does not count the verdicts.
    """

    method: str
    code: str
    model: str
    indices: str
    n_proved: int
    proved: str

    def __post_init__(self) -> None:
        expect_count("certificate.n_proved", self.n_proved, len(self.proved_indices()), "certificate.proved")

    def proved_indices(self) -> frozenset[int]:
        """Of the examples that nothing breaks."""
        tried = parse_indices(self.indices)
        verdicts = unpack_verdicts(self.proved, len(tried))
        return frozenset(index for index, proved in zip(tried, verdicts, strict=True) if proved)

    def joined(self, other: Certificate) -> Certificate:
        """Both together, where they are of the same code and weights; else the other one.

        Args:
            other: the later one.
        """
        if (self.code, self.model) != (other.code, other.model):
            return other
        tried = sorted({*parse_indices(self.indices), *parse_indices(other.indices)})
        return other.of(tried, self.proved_indices() | other.proved_indices())

    def of(self, tried: Sequence[int], proved: Collection[int]) -> Certificate:
        """The same about other examples.

        Args:
            tried: indices of those that were tried, at least one.
            proved: of those that nothing breaks; others count for nothing.
        """
        verdicts = [index in proved for index in tried]
        return replace(self, indices=format_indices(tried), n_proved=sum(verdicts), proved=pack_verdicts(verdicts))
