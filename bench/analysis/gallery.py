"""What models say of examples, and examples as pictures that fit into JSON."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from bench.analysis.analysis import Values
from bench.analysis.subject import AnalysisSubject, SuiteVerdicts
from bench.evaluation import CHUNK_SIZE
from bench.models import LoadedModel
from bench.row.arrays import LEVELS

__all__ = ["picture", "verdicts_of"]


def verdicts_of(subject: AnalysisSubject, model: LoadedModel) -> Values:
    """What the model fails on, what it says of the clean inputs, and its stored breaks of the first examples."""
    known = subject.verdicts(model)
    placed = subject.examples.to(subject.device)
    with torch.no_grad():
        answers = torch.cat([model.module(part.inputs).argmax(dim=1) for part in placed.split(CHUNK_SIZE)])
    return {
        "suite": known.suite,
        "fails": [not robust for robust in known.robust],
        "says": answers.tolist(),
        **_broken(subject, known),
    }


def _broken(subject: AnalysisSubject, known: SuiteVerdicts) -> Values:
    """By index: what the model says of its stored breaks, and the breaks as 8-bit pixels."""
    place = {index: row for row, index in enumerate(subject.examples.indices.tolist())}
    kept = known.breaks.pick(np.array([index in place for index in known.breaks.indices.tolist()], bool))
    rows = torch.tensor([place[index] for index in kept.indices.tolist()], dtype=torch.int64)
    inputs = kept.inputs(subject.examples[rows].inputs.numpy())
    return {
        "broken_says": {str(index): int(answer) for index, answer in zip(kept.indices, kept.predictions, strict=True)},
        "broken": {str(index): _packed(image) for index, image in zip(kept.indices, inputs, strict=True)},
    }


def picture(subject: AnalysisSubject, first: Values, names: list[str], parts: Mapping[str, Values], row: int) -> Values:
    """One always-failing example: clean and broken pixels, and what most models say of it under attack."""
    index = str(int(subject.examples.indices[row]))
    called = dict(enumerate(subject.dataset.class_names))
    answers = Counter(parts[name]["broken_says"].get(index, parts[name]["says"][row]) for name in names)
    answer, votes = answers.most_common(1)[0]
    image = subject.examples[row : row + 1].inputs[0].numpy()
    return {
        "index": int(index),
        "shape": list(image.shape),
        "true": called[int(subject.examples.labels[row])],
        "called": called.get(answer, "not finite"),
        "votes": votes,
        "clean": _packed(image),
        "broken": first["broken"].get(index),
    }


def _packed(image: NDArray[np.float32]) -> str:
    pixels = np.rint(image.astype(np.float64) * LEVELS).astype(np.uint8)
    return base64.b64encode(pixels.tobytes()).decode("ascii")
