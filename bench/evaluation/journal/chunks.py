"""The fixed grid of work: a chunk is 64 consecutive official indices, anchored at 0.

Chunks of one block may share a compute batch, those of different blocks never do. So what is computed in a block does
not depend on the blocks around it: they may be computed in any order, by anybody, on machines that know of no others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

__all__ = ["CHUNK_SIZE", "Chunk", "blocks_of", "chunks_of", "each_alone", "groups_of"]

CHUNK_SIZE = 64
BATCHES_PER_BLOCK = 8
"""OUR CHOICE: as few as leave late stages, which see a third of the examples, batches that are nearly full."""


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """The part of a chunk of the grid that this run covers.

    Args:
        number: its place in the grid: index // 64.
        start: position of its first example in this run, whose examples are sorted by index.
        indices: official indices covered, ascending.
    """

    number: int
    start: int
    indices: tuple[int, ...]

    @property
    def rows(self) -> slice:
        """Where its examples stand in this run."""
        return slice(self.start, self.start + len(self.indices))

    @property
    def key(self) -> str:
        """Names what it covers: number, first and last index, and a hash of the indices where some are left out."""
        first, last = self.indices[0], self.indices[-1]
        name = f"{self.number:06d}-{first}-{last}"
        if last - first + 1 == len(self.indices):
            return name
        return f"{name}-{hashlib.sha256(repr(self.indices).encode()).hexdigest()[:12]}"


def chunks_of(indices: Sequence[int]) -> tuple[Chunk, ...]:
    """Cut ascending indices along the grid."""
    chunks: list[Chunk] = []
    start = 0
    for number, members in groupby(indices, key=lambda index: index // CHUNK_SIZE):
        covered = tuple(members)
        chunks.append(Chunk(number=number, start=start, indices=covered))
        start += len(covered)
    return tuple(chunks)


def blocks_of(chunks: Sequence[Chunk], size: int) -> Iterator[tuple[Chunk, ...]]:
    """Consecutive chunks of one block: as many chunks of the grid, anchored at 0, as fill eight compute batches.

    Args:
        chunks: in order.
        size: of the compute batch.
    """
    n_chunks = max(1, BATCHES_PER_BLOCK * size // CHUNK_SIZE)
    return (tuple(block) for _, block in groupby(chunks, key=lambda chunk: chunk.number // n_chunks))


def groups_of(chunks: Sequence[Chunk], attacked: Sequence[bool], size: int) -> Iterator[tuple[Chunk, ...]]:
    """Consecutive chunks of a block that share a compute batch: as many as have together at most `size` to attack.

    Args:
        chunks: in order.
        attacked: which examples of the run are attacked, one item each.
        size: of the compute batch; a chunk that exceeds it alone is a group of its own.
    """
    for block in blocks_of(chunks, size):
        group: list[Chunk] = []
        count = 0
        for chunk in block:
            more = sum(attacked[chunk.rows])
            if group and count + more > size:
                yield tuple(group)
                group, count = [], 0
            group.append(chunk)
            count += more
        yield tuple(group)


def each_alone(chunks: Sequence[Chunk]) -> Iterator[tuple[Chunk, ...]]:
    """Every chunk as a group of its own."""
    return ((chunk,) for chunk in chunks)
