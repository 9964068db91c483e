"""The strongest break of each example that the original float32 model confirmed.

It is stored as 8-bit changes of the clean input where the changed input, judged again, is still misclassified inside
the threat model by more than rounding; else as it was found, in float32.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.core.types import Examples, Norm, ThreatModel
from bench.evaluation.verify import Judgement, judge
from bench.row.arrays import LEVELS, Array, Breaks, apply_deltas, merge_breaks, stronger

__all__ = ["StrongestBreaks", "new_breaks"]

_LARGEST = 127


class StrongestBreaks:
    """The strongest break of each example so far.

    Args:
        shape: of one input, `(C, H, W)`.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._chunks: dict[int, Breaks] = {}
        self._margins: dict[int, float] = {}

    @property
    def breaks(self) -> Breaks:
        """All that is kept, one break per broken example."""
        return merge_breaks(Breaks.none(self._shape), *self._chunks.values())

    def add(self, chunk: int, found: Breaks) -> None:
        """Take in what a stage broke in the chunk with this number."""
        if len(found):
            kept = merge_breaks(self._chunks.get(chunk, Breaks.none(self._shape)), found)
            self._chunks[chunk] = kept
            self._margins.update(zip(kept.indices.tolist(), kept.margins.tolist(), strict=True))

    @property
    def margins(self) -> Mapping[int, float]:
        """By official index, the margin of what is kept."""
        return self._margins


def new_breaks(
    module: nn.Module,
    batch: Examples,
    judgement: Judgement,
    threat_model: ThreatModel,
    *,
    known: Mapping[int, float],
    seed: int,
) -> Breaks:
    """The breaks of a batch that show more than what is known, ready to be stored.

    Args:
        module: the original model, in eval mode.
        batch: the clean examples.
        judgement: of one candidate for each.
        threat_model: what the attacker may do.
        known: by official index, the margin of the strongest break so far.
        seed: of a stochastic model's draws.
    """
    margins = np.array([known.get(index, math.inf) for index in batch.indices.tolist()], np.float32)
    better = torch.from_numpy(stronger(_array(judgement.margin), margins)).to(judgement.robust.device)
    which = ~judgement.robust & better
    if not bool(which.any()):
        return Breaks.none(tuple(batch.inputs.shape[1:]))
    return _compact(module, batch[which], _pick(judgement, which), threat_model, seed)


def _compact(module: nn.Module, batch: Examples, found: Judgement, threat_model: ThreatModel, seed: int) -> Breaks:
    """Write each break in 8 bits where that keeps it, else in float32. Every example of the batch is broken."""
    clean, points = _array(batch.inputs), _array(found.points)
    margins, predicted = _array(found.margin), _array(found.predicted)
    deltas = np.zeros(points.shape, np.int8)
    rounded = np.zeros(len(batch), np.bool_)
    for candidate in _roundings(clean, points, threat_model):
        left = np.flatnonzero(~rounded)
        if not len(left):
            break
        part = batch[torch.from_numpy(left).to(batch.labels.device)]
        inputs = torch.from_numpy(apply_deltas(candidate[left], clean[left])).to(batch.inputs.device)
        again = judge(module, inputs, part, threat_model, seed=seed)
        kept = _array(~again.robust & ~again.moved & ~again.marginal)
        chosen = left[kept]
        rounded[chosen], deltas[chosen] = True, candidate[chosen]
        margins[chosen], predicted[chosen] = _array(again.margin)[kept], _array(again.predicted)[kept]
    order = np.argsort(_array(batch.indices))
    return Breaks(
        indices=_array(batch.indices)[order],
        labels=_array(batch.labels)[order],
        predictions=predicted[order],
        margins=margins[order],
        rounded=rounded[order],
        deltas=deltas[order][rounded[order]],
        exact=points[order][~rounded[order]],
    )


def _roundings(
    clean: NDArray[np.float32], points: NDArray[np.float32], threat_model: ThreatModel
) -> Iterator[NDArray[np.int8]]:
    """Changes in steps of 1/255, to the nearest and then towards the clean input (which never leaves the ball)."""
    steps = (points.astype(np.float64) - clean) * LEVELS
    linf = threat_model.norm is Norm.LINF
    largest = min(math.floor(threat_model.epsilon * LEVELS), _LARGEST) if linf else _LARGEST
    for rounding in (np.rint, np.trunc):
        yield rounding(steps).clip(-largest, largest).astype(np.int8)


def _pick(judgement: Judgement, which: Tensor) -> Judgement:
    return Judgement(**{name: value[which] for name, value in vars(judgement).items()})


def _array(tensor: Tensor) -> Array:
    return tensor.detach().cpu().numpy()
