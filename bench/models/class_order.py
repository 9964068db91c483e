"""Whether a model numbers its classes as a dataset does, as far as their names tell."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.core.errors import BenchError
from bench.models.loaded import LoadedModel

if TYPE_CHECKING:
    from bench.data import Dataset

__all__ = ["class_order"]


def class_order(model: LoadedModel, dataset: Dataset) -> tuple[str, ...]:
    """Hold the class names of a model against a dataset's.

    A name counts up to its first comma ("tench, Tinca tinca"), without case and punctuation, and only where it stands
    once on either side and is no number.

    Returns:
        A remark where no name is common to both.

    Raises:
        BenchError: if a class of the model has another number in the dataset.
    """
    if model.class_names is None:
        return ()
    mine, theirs = _places(model.class_names), _places(dataset.class_names)
    common = mine.keys() & theirs.keys()
    moved = sorted((mine[name], theirs[name]) for name in common if mine[name] != theirs[name])
    if moved:
        here, there = moved[0]
        own = dataset.name.startswith(("folder-", "npz-"))
        what = "put the data's classes into the model's order" + (" (--class-names FILE)" if own else "")
        raise BenchError(
            f"Class {here} of {model.name!r} is {model.class_names[here]!r:.60}, which is class {there} of"
            f" {dataset.name} ({len(moved)} classes differ): {what}."
        )
    if mine and theirs and not common:
        return (
            f"No class has one name in the model and in the data: class 0 is {model.class_names[0]!r:.60} there and"
            f" {dataset.class_names[0]!r:.60} here.",
        )
    return ()


def _places(names: Sequence[str]) -> dict[str, int]:
    """The numbers of the names that can be compared."""
    plain = [re.sub(r"[\W_]+", " ", name.partition(",")[0].casefold()).strip() for name in names]
    counts = Counter(plain)
    return {name: place for place, name in enumerate(plain) if counts[name] == 1 and name and not name.isdigit()}
