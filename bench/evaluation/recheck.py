"""Whether a journal is of the model at hand: it is asked again about clean inputs and breaks that are stored."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from bench.core.errors import BenchError
from bench.core.types import Examples, ThreatModel
from bench.evaluation.execution.computing import Computer
from bench.evaluation.execution.task import Task
from bench.evaluation.journal.journal import Journal
from bench.evaluation.results import StageResult
from bench.evaluation.schedule import CLEAN
from bench.evaluation.verify import judge
from bench.row import FINGERPRINT_TOLERANCE

__all__ = ["refuse_other_function"]


def refuse_other_function(
    computer: Computer, journal: Journal, task: Task, results: Sequence[StageResult], examples: Examples
) -> None:
    """What a journal holds of clean inputs and of breaks, the model must say too: one forward pass of each.

    The fingerprint sees neither later images nor what attacks find. One example may differ, where rounding decides
    which way a model takes. Work of another kind of device is not repeated here, nor are image files decoded again.

    Args:
        computer: has the model.
        journal: that the results were read from.
        task: that they are of.
        results: one for each chunk of the task.
        examples: all of the run, sorted by index.

    Raises:
        BenchError: if the model says otherwise.
    """
    if journal.header.device != computer.device.type or not examples.in_memory:
        return
    differing: list[int] = []
    for chunk, found in zip(task.chunks, results, strict=True):
        judged, margins = _judged(task, examples[chunk.rows], found)
        known = dict(zip(judged.indices.tolist(), margins, strict=True))
        question = functools.partial(_as_known, known=known, threat_model=computer.threat_model, seed=computer.seed)
        same = computer.ask(question, judged, task.what)
        differing += [index for index, fits in zip(known, same, strict=True) if not fits]
    if len(differing) > 1:
        shown = ", ".join(map(str, differing[:3])) + (", ..." if len(differing) > 3 else "")
        raise BenchError(
            f"Journal {journal.folder} was made for another run: on {len(differing)} stored inputs of"
            f" {task.stage.key} (examples {shown}) the model gives other logits than the one that it was made with."
            " Choose another journal folder, or that model."
        )


def _judged(task: Task, examples: Examples, found: StageResult) -> tuple[Examples, Sequence[float]]:
    """The inputs whose margins a chunk's result knows, in the order of their indices, and these margins."""
    if task.stage == CLEAN:
        return examples, found.margin
    if found.breaks is None:
        return examples[:0], ()
    examples = examples[torch.isin(examples.indices, torch.from_numpy(found.breaks.indices))]
    inputs = torch.from_numpy(found.breaks.inputs(examples.inputs.cpu().numpy()))
    judged = Examples(inputs=inputs, labels=examples.labels, indices=examples.indices)
    return judged, found.breaks.margins.tolist()


def _as_known(
    module: nn.Module, batch: Examples, *, known: Mapping[int, float], threat_model: ThreatModel, seed: int
) -> Tensor:
    """Whether the margins of a batch are those known by index, but for rounding: bool `(N,)`."""
    found = judge(module, batch.inputs, batch, threat_model, seed=seed)
    before = torch.tensor([known[index] for index in batch.indices.tolist()]).to(found.margin)
    # A margin is the difference of two logits.
    near: Tensor = (found.margin - before).abs() <= 2 * FINGERPRINT_TOLERANCE * found.size
    return near.logical_or(found.margin == before)
