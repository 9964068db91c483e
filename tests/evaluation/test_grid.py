"""The fixed grid."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.evaluation.grid import chunks_of, groups_of


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


def test_groups_are_anchored_at_zero() -> None:
    """A run that starts later groups its chunks as one that starts at 0."""
    late = groups_of(chunks_of(range(64, 512)), 256)
    assert [[chunk.number for chunk in group] for group in late] == [[1, 2, 3], [4, 5, 6, 7]]
    assert all(len(group) == 1 for group in groups_of(chunks_of(range(512)), 7))
