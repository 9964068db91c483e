"""On how many examples models are ranked: the first 1,000 of the test split, or the whole of a smaller one."""

from __future__ import annotations

from bench.core.splits import TEST_SPLITS

__all__ = ["RANKED_EXAMPLES", "ranked_examples"]

RANKED_EXAMPLES = 1000


def ranked_examples(dataset: str) -> int:
    """How many of the first examples a row needs to be ranked."""
    known = TEST_SPLITS.get(dataset)
    return RANKED_EXAMPLES if known is None else min(known.size, RANKED_EXAMPLES)
