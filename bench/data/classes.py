"""The classes of a user's own data: their names, their order, and whether a model has the same ones."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from bench.core.errors import BenchError
from bench.data.dataset import Dataset
from bench.storage import read_regular

__all__ = ["MOST_CLASSES", "OPTION", "advice", "in_order", "read"]

MOST_CLASSES = 100_000
OPTION = "--class-names FILE"

_MOST_BYTES = 16 << 20
_NUMBER = re.compile(r"[0-9]+")


def read(path: Path) -> tuple[str, ...]:
    """Read the names of a model's classes: one a line, in the order of its logits.

    Raises:
        BenchError: if the file cannot be read, holds no names, or has an empty line between them.
    """
    try:
        text = read_regular(path.expanduser(), most_bytes=_MOST_BYTES).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise BenchError(f"Cannot read class names from {path}: {reason}.") from error
    names = [line.strip() for line in text.rstrip().split("\n")]
    if len(names) > MOST_CLASSES:
        raise BenchError(f"Expected at most {MOST_CLASSES:,} class names, one a line, but {path} has more.")
    if names == [""]:
        raise BenchError(f"Expected class names in {path}, one a line, but it is empty.")
    if "" in names:
        raise BenchError(
            f"Expected a class name in every line of {path}, since the line is the class's number,"
            f" but line {names.index('') + 1} is empty."
        )
    return tuple(names)


def in_order(names: Iterable[str]) -> tuple[tuple[str, ...], str | None]:
    """Put the names of class folders in order: numbers by value, all else as text, as torchvision's ImageFolder does.

    >>> in_order(["10", "9"])[0], in_order(["class_10", "class_9"])[0]
    (('9', '10'), ('class_10', 'class_9'))

    Returns:
        The names in order, and a remark where a reader might expect another.
    """
    as_text = sorted(names)
    by_value = sorted(as_text, key=_with_values)
    values = [int(name) for name in as_text if _NUMBER.fullmatch(name)]
    numeric = len(set(values)) == len(as_text)
    taken, other = (by_value, as_text) if numeric else (as_text, by_value)
    if taken == other:
        return tuple(taken), None
    place = next(place for place, pair in enumerate(zip(taken, other, strict=True)) if pair[0] != pair[1])
    orders = ("by number", "as text, which is ImageFolder's order,")
    mine, theirs = orders if numeric else ("as text, as ImageFolder does", "by number")
    remark = (
        f"Class folders are ordered {mine}: class {place} is {taken[place]!r}; {theirs} it would be {other[place]!r}."
        f" A model with another order: {OPTION}"
    )
    return tuple(taken), remark


def advice(dataset: Dataset, n_logits: int) -> str:
    """What to do about a model that gives another number of logits than there are classes; "" for shipped datasets."""
    kind = dataset.name.partition("-")[0]
    if kind not in ("folder", "npz"):
        return ""
    found = sorted(set(dataset.examples.labels.tolist()))
    low, high = found[0], found[-1]
    told = f" Labels run from {low} to {high} ({len(found)} different ones)"
    if n_logits > dataset.num_classes:
        where = f"{OPTION}, or class_names in the file" if kind == "npz" else OPTION
        return f"{told}. Where the model has more classes, name all, one a line, in its order: {where}."
    if kind == "npz" and low > 0 and high - low < n_logits:
        return f"{told}; a model's classes count from 0: subtract {low}."
    absent = (name for label, name in enumerate(dataset.class_names) if label not in found)
    few = ", ".join(repr(name) for name in islice(absent, 3))
    missing = f"; no example is of class {few}" if few else ""
    return f"{told}{missing}. Remove what is no class of the model, or name its classes: {OPTION}."


def _with_values(name: str) -> list[str | int]:
    """A key that sorts the numbers in names by value."""
    return [int(part) if odd % 2 else part for odd, part in enumerate(re.split(r"([0-9]+)", name))]
