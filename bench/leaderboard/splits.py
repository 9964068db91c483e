"""On how many examples models are ranked: the first 1,000 of the test split, or the whole of a smaller one."""

from __future__ import annotations

__all__ = ["RANKED_EXAMPLES", "SMALL_SPLITS", "ranked_examples"]

RANKED_EXAMPLES = 1000

# Datasets whose test split is smaller; here because the board is made without the data and without what reads it.
SMALL_SPLITS = {"digits": 360}


def ranked_examples(dataset: str) -> int:
    """How many of the first examples a row needs to be ranked."""
    return SMALL_SPLITS.get(dataset, RANKED_EXAMPLES)
