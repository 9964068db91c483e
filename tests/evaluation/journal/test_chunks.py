"""The fixed grid."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from bench.evaluation.journal.chunks import CHUNK_SIZE, blocks_of, chunks_of, each_alone, groups_of


@given(st.sets(st.integers(0, 1000), min_size=1))
def test_every_example_is_in_the_chunk_of_its_index(indices: set[int]) -> None:
    """Chunks cover all, in order, each within its 64 indices, and two of them never have one key."""
    chunks = chunks_of(sorted(indices))
    assert [index for chunk in chunks for index in chunk.indices] == sorted(indices)
    assert all(index // 64 == chunk.number for chunk in chunks for index in chunk.indices)
    assert [chunk.rows.stop for chunk in chunks][:-1] == [chunk.rows.start for chunk in chunks][1:]
    assert len({chunk.key for chunk in chunks}) == len(chunks)


def test_a_key_says_what_is_covered() -> None:
    """Number, first and last index; gaps make another key."""
    (whole,), (gap,) = chunks_of(range(64, 128)), chunks_of([64, 127])
    assert whole.key == "000001-64-127"
    assert gap.key.startswith("000001-64-127-")


@given(st.lists(st.booleans(), min_size=1, max_size=2000), st.integers(1, 100))
def test_groups_fill_a_compute_batch_with_what_is_attacked(attacked: list[bool], size: int) -> None:
    """Groups cover all chunks, none exceeds the batch unless one chunk does; in its block none could take one more."""
    chunks = chunks_of(range(len(attacked)))
    groups = list(groups_of(chunks, attacked, size))
    assert [chunk for group in groups for chunk in group] == list(chunks)
    counts = [[sum(attacked[chunk.rows]) for chunk in group] for group in groups]
    blocks = {chunk: number for number, block in enumerate(blocks_of(chunks, size)) for chunk in block}
    assert all(sum(count) <= size or sum(map(bool, count)) == 1 for count in counts)
    for (left, right), (before, after) in zip(itertools.pairwise(groups), itertools.pairwise(counts), strict=True):
        assert sum(before) + after[0] > size or blocks[left[0]] != blocks[right[0]]


@given(st.lists(st.booleans(), min_size=1, max_size=2000), st.integers(1, 100), st.integers(0, 1999))
def test_what_is_computed_together_does_not_depend_on_other_blocks(
    attacked: list[bool], size: int, picked: int
) -> None:
    """The groups of one block alone, wherever its examples stand, are those that it has among all."""
    indices = range(len(attacked))
    picked %= len(attacked)
    every = list(groups_of(chunks_of(indices), attacked, size))
    blocks = list(blocks_of(chunks_of(indices), size))
    assert [chunk for block in blocks for chunk in block] == list(chunks_of(indices))
    block = next(block for block in blocks if any(picked in chunk.indices for chunk in block))
    rows = slice(block[0].start, block[-1].rows.stop)
    assert rows.start % (64 * max(1, size // 8)) == 0 and rows.stop - rows.start <= max(64, 8 * size)
    alone = groups_of(chunks_of(indices[rows]), attacked[rows], size)
    expected = [[each.key for each in group] for group in every if group[0] in block]
    assert [[each.key for each in group] for group in alone] == expected


def test_a_chunk_can_stand_alone() -> None:
    """For attacks whose draws depend on the batch."""
    chunks = chunks_of(range(3 * CHUNK_SIZE))
    assert list(each_alone(chunks)) == [(chunk,) for chunk in chunks]
