"""Adversarial examples as plain arrays, one per broken example, small enough to be published.

Most are kept as 8-bit changes of the clean input, which the data set has: `x' = clip(x + delta / 255, 0, 1)`, computed
in float64 and rounded to float32, the same on every machine. Those that rounding would undo are kept in float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from bench.row.arrays.npz import Array, Layout

__all__ = ["LAYOUTS", "LEVELS", "NOT_FINITE", "Breaks", "apply_deltas", "merge_breaks", "stronger"]

LEVELS = 255
NOT_FINITE = -1
"""The prediction of a model whose logits are not finite."""

LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "indices": Layout(kinds=("int64",), ndim=1),
        "labels": Layout(kinds=("int64",), ndim=1),
        "predictions": Layout(kinds=("int64",), ndim=1),
        "margins": Layout(kinds=("float32",), ndim=1),
        "rounded": Layout(kinds=("bool",), ndim=1),
        "deltas": Layout(kinds=("int8",), ndim=4),
        "exact": Layout(kinds=("float32",), ndim=4),
    }
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Breaks:
    """Inputs that a model misclassifies, at most one per example.

    Args:
        indices: int64 `(B,)`, positions in the official split, ascending, each once.
        labels: int64 `(B,)`, the true classes.
        predictions: int64 `(B,)`, what the model says instead; `NOT_FINITE` where its logits are not finite.
        margins: float32 `(B,)`, `z_y - max_{k != y} z_k` of the input as it is kept here: at most 0, and minus infinity
            where logits are not finite.
        rounded: bool `(B,)`, which are kept in `deltas`; the others are in `exact`, both in the order of `indices`.
        deltas: int8 `(R, C, H, W)`, changes of the clean input in steps of 1/255.
        exact: float32 `(B - R, C, H, W)`, whole inputs in [0, 1].

    Raises:
        ValueError: if the arrays do not fit each other or hold what no break can be.
    """

    indices: NDArray[np.int64]
    labels: NDArray[np.int64]
    predictions: NDArray[np.int64]
    margins: NDArray[np.float32]
    rounded: NDArray[np.bool_]
    deltas: NDArray[np.int8]
    exact: NDArray[np.float32]

    def __post_init__(self) -> None:
        for name, layout in LAYOUTS.items():
            array = getattr(self, name)
            _expect(layout.fits(array.dtype, array.shape), name, str(layout), f"{array.dtype} of shape {array.shape}")
        count, n_rounded = len(self.indices), int(self.rounded.sum())
        for name in ("labels", "predictions", "margins", "rounded"):
            _expect(len(getattr(self, name)) == count, name, f"{count} long", len(getattr(self, name)))
        _expect(len(self.deltas) == n_rounded, "deltas", f"{n_rounded} long", len(self.deltas))
        _expect(len(self.exact) == count - n_rounded, "exact", f"{count - n_rounded} long", len(self.exact))
        _expect(self.deltas.shape[1:] == self.exact.shape[1:], "deltas", "shaped as exact", self.deltas.shape)
        ascending = bool((np.diff(self.indices) > 0).all()) and (not count or self.indices[0] >= 0)
        _expect(ascending, "indices", "ascending from 0, each once", self.indices)
        _expect(bool((self.margins <= 0).all()), "margins", "at most 0", self.margins)
        _expect(bool(((self.exact >= 0) & (self.exact <= 1)).all()), "exact", "in [0, 1]", "another value")

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape `(C, H, W)` of one input."""
        return self.exact.shape[1:]

    def pick(self, which: NDArray[np.bool_]) -> Breaks:
        """Those that a mask `(B,)` marks."""
        return Breaks(
            indices=self.indices[which],
            labels=self.labels[which],
            predictions=self.predictions[which],
            margins=self.margins[which],
            rounded=self.rounded[which],
            deltas=self.deltas[which[self.rounded]],
            exact=self.exact[which[~self.rounded]],
        )

    def inputs(self, clean: NDArray[np.float32]) -> NDArray[np.float32]:
        """The adversarial inputs, float32 `(B, C, H, W)` in [0, 1].

        Args:
            clean: float32 `(B, C, H, W)`, the clean inputs of `indices`, in that order.

        Raises:
            ValueError: if the clean inputs are not of that shape.
        """
        expected = (len(self), *self.shape)
        _expect(clean.shape == expected, "clean", f"of shape {expected}", clean.shape)
        found = np.empty(expected, np.float32)
        found[self.rounded] = apply_deltas(self.deltas, clean[self.rounded])
        found[~self.rounded] = self.exact
        return found

    @property
    def arrays(self) -> dict[str, Array]:
        """All arrays by name, in the order of a file."""
        return {name: getattr(self, name) for name in LAYOUTS}

    @classmethod
    def none(cls, shape: tuple[int, ...]) -> Breaks:
        """No breaks of inputs of shape `(C, H, W)`."""
        return cls(
            indices=np.empty(0, np.int64),
            labels=np.empty(0, np.int64),
            predictions=np.empty(0, np.int64),
            margins=np.empty(0, np.float32),
            rounded=np.empty(0, np.bool_),
            deltas=np.empty((0, *shape), np.int8),
            exact=np.empty((0, *shape), np.float32),
        )


def apply_deltas(deltas: NDArray[np.int8], clean: NDArray[np.float32]) -> NDArray[np.float32]:
    """`clip(clean + deltas / 255, 0, 1)` in float64, as float32; both `(N, C, H, W)`."""
    moved = clean.astype(np.float64) + deltas.astype(np.float64) / LEVELS
    return moved.clip(0, 1).astype(np.float32)


def stronger(margins: NDArray[np.float32], than: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which margins show more than others: the smaller one, and a finite one rather than logits that are not finite.

    Args:
        margins: `(B,)`.
        than: `(B,)`; plus infinity stands for no break at all.
    """
    return _rank(margins) < _rank(than)


def merge_breaks(*parts: Breaks) -> Breaks:
    """One break per example out of several collections: the strongest, and the earliest of equal ones.

    Args:
        parts: at least one, of inputs of one shape.
    """
    indices = np.concatenate([part.indices for part in parts])
    margins = np.concatenate([part.margins for part in parts])
    order = np.lexsort((np.arange(len(indices)), _rank(margins), indices))
    ordered = indices[order]
    first = np.ones(len(order), np.bool_)
    first[1:] = ordered[1:] != ordered[:-1]
    chosen = order[first]
    rounded = np.concatenate([part.rounded for part in parts])
    place = np.where(rounded, np.cumsum(rounded), np.cumsum(~rounded)) - 1
    return Breaks(
        indices=indices[chosen],
        labels=np.concatenate([part.labels for part in parts])[chosen],
        predictions=np.concatenate([part.predictions for part in parts])[chosen],
        margins=margins[chosen],
        rounded=rounded[chosen],
        deltas=np.concatenate([part.deltas for part in parts])[place[chosen][rounded[chosen]]],
        exact=np.concatenate([part.exact for part in parts])[place[chosen][~rounded[chosen]]],
    )


def _rank(margins: NDArray[np.float32]) -> NDArray[np.float64]:
    """Smaller is stronger: finite margins, then logits that are not finite, then no break."""
    ranks = margins.astype(np.float64)
    ranks[np.isneginf(ranks)] = np.finfo(np.float64).max
    return ranks


def _expect(fine: bool, name: str, expected: str, got: object) -> None:
    if not fine:
        raise ValueError(f"Expected `{name}` to be {expected}, but got {got!s:.80}.")
