"""AWP's observation: a flatter weight-loss landscape goes with a smaller robust generalisation gap.

Wu, Xia, Wang 2020 (arXiv 2004.05884), section 3: g(alpha) is the mean adversarial loss at w + alpha d, d a random
direction normalised filter by filter, with adversarial examples made anew for every perturbed network.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.analysis.analysis import Analysis, AnalysisTask, Claim, ClaimVerdict, Table, Values
from bench.analysis.directions import along, direction
from bench.analysis.estimate import Estimate, contrast, mean
from bench.analysis.subject import AnalysisSubject
from bench.attacks import PGD, PGD_20_STEP
from bench.core.types import Examples
from bench.evaluation import CHUNK_SIZE
from bench.models import LoadedModel
from bench.ops import losses

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ENTRY", "Landscape"]

_PGD_10 = PGD(name="pgd-10", steps=10, relative_step_size=PGD_20_STEP)
_DIGITS = 5

Side = dict[str, NDArray[np.float64]]
Sides = dict[str, Side]


@dataclass(frozen=True, kw_only=True)
class Landscape(Analysis):
    """The analysis.

    Args:
        directions: how many.
        distances: along each; 0, which all share, comes with them.
        attack: made anew for every perturbed network.
    """

    name: ClassVar[str] = "landscape"
    samples: ClassVar[int] = 128
    most: ClassVar[int | None] = 256
    question: ClassVar[str] = (
        "How fast does the adversarial loss rise around the weights, and does flatness generalise?"
    )
    source: ClassVar[str] = "AWP (Wu, Xia, Wang 2020, arXiv 2004.05884)"
    choices: ClassVar[tuple[str, ...]] = (
        "Three directions, ten distances from -0.3 to 0.3 beside 0 (at 1 each filter has moved by its own norm), PGD-10"
        " with steps of a quarter of epsilon; the loss is the cross-entropy at the iterate of smallest margin.",
        "Sharpness is the mean rise of the loss over all directions and distances. Its interval is a bootstrap over"
        " examples; the spread over directions is given beside it.",
        "The robust generalisation gap is the accuracy under that PGD-10 on as many training images, less that on the"
        " test images. Twins get the same directions and the same images, so differences are paired.",
    )

    directions: int = 3
    distances: tuple[float, ...] = (-0.3, -0.24, -0.18, -0.12, -0.06, 0.06, 0.12, 0.18, 0.24, 0.3)
    attack: PGD = _PGD_10

    def tasks(self, subject: AnalysisSubject) -> tuple[AnalysisTask, ...]:
        """For each model and split: the centre, then each direction."""
        training = subject.training()
        splits = {"test": subject.examples, **({"train": training} if training is not None else {})}
        tasks = []
        for model in subject.models:
            for split, examples in splits.items():
                work = functools.partial(self._centre, subject, model, examples)
                tasks.append(AnalysisTask(name=_key(model.name, split), about=(model,), effort=1.0, work=work))
                for number in range(self.directions):
                    work = functools.partial(self._direction, subject, model, examples, number)
                    name, effort = _key(model.name, split, number), float(len(self.distances))
                    tasks.append(AnalysisTask(name=name, about=(model,), effort=effort, work=work))
        return tuple(tasks)

    def conclude(self, subject: AnalysisSubject, parts: Mapping[str, Values]) -> Values:
        """Curves, sharpness and gap of every model, and how later models differ from the first."""
        splits = [split for split in ("train", "test") if _key(subject.models[0].name, split) in parts]
        found = {
            model.name: {split: self._side(subject, parts, model.name, split) for split in splits}
            for model in subject.models
        }
        first = subject.models[0].name
        return {
            "distances": [*self.distances],
            "models": {
                name: {split: _told(side, subject.seed) for split, side in sides.items()}
                for name, sides in found.items()
            },
            "gaps": {name: _gap(sides, subject.seed).json for name, sides in found.items()}
            if "train" in splits
            else {},
            "first": first,
            "against_first": {
                name: {
                    "sharpness": {
                        split: mean(
                            (sides[split]["rise"] - found[first][split]["rise"]).mean(0), seed=subject.seed
                        ).json
                        for split in splits
                    },
                    "gap": _gap_difference(sides, found[first], subject.seed).json if "train" in splits else None,
                }
                for name, sides in found.items()
                if name != first
            },
        }

    def claims(self, values: Values) -> tuple[Claim, ...]:
        """Two for each model after the first: flatter, and a smaller gap."""
        first, claims = values["first"], []
        for name, against in values["against_first"].items():
            for split, found in against["sharpness"].items():
                text = f"The landscape of {name} is flatter than that of {first}, on {split} images."
                claims.append(_claim(text, found, f"sharpness less that of {first}:"))
            if against["gap"] is not None:
                text = f"The robust generalisation gap of {name} is smaller than that of {first}."
                claims.append(_claim(text, against["gap"], f"gap less that of {first}, in points:", 100))
        return tuple(claims)

    def tables(self, values: Values) -> tuple[Table, ...]:
        """One line for each model and split."""
        rows = []
        for name, sides in values["models"].items():
            for split, side in sides.items():
                gap = values["gaps"].get(name)
                rows.append(
                    (
                        name,
                        split,
                        Estimate.of(side["centre"]).told(),
                        Estimate.of(side["sharpness"]).told(),
                        f"{min(side['by_direction']):.2f} to {max(side['by_direction']):.2f}",
                        Estimate.of(side["robust"]).told(1, unit=100),
                        Estimate.of(gap).told(1, unit=100) if gap is not None and split == "train" else "",
                    )
                )
        headers = ("model", "images", "loss at 0", "sharpness", "over directions", "robust (%)", "gap (points)")
        title = (
            "Adversarial loss at the weights, its mean rise around them, accuracy under the same attack, and the gap."
        )
        return (Table(title=title, headers=headers, rows=tuple(rows)),)

    def draw(self, values: Values) -> Mapping[str, Figure]:
        """The curves of all models, a panel for each split."""
        from bench.analysis import landscape_figures as figures  # matplotlib is loaded where something is drawn

        return {"Adversarial loss along random directions, thin lines, and their mean": figures.curves(values)}

    def _centre(self, subject: AnalysisSubject, model: LoadedModel, examples: Examples) -> Values:
        loss, robust = self._attacked(model.module, examples.to(subject.device), subject)
        return {"loss": _rounded(loss), "robust": robust.tolist()}

    def _direction(self, subject: AnalysisSubject, model: LoadedModel, examples: Examples, number: int) -> Values:
        placed = examples.to(subject.device)
        heading = direction(model.module, seed=subject.seed, number=number)
        found = along(model.module, heading, self.distances, lambda moved: self._attacked(moved, placed, subject)[0])
        return {"losses": [_rounded(loss) for loss in found]}

    def _attacked(self, module: nn.Module, examples: Examples, subject: AnalysisSubject) -> tuple[Tensor, Tensor]:
        """Cross-entropy `(N,)` at the adversarial examples, and whether they are classified correctly."""
        found = []
        for part in examples.split(CHUNK_SIZE):
            points = self.attack.perturb(module, part, subject.threat_model, seed=subject.seed)
            with torch.no_grad():
                logits = module(points)
            found.append((losses.cross_entropy(logits, part.labels), logits.argmax(dim=1) == part.labels))
        loss, right = zip(*found, strict=True)
        return torch.cat(loss), torch.cat(right)

    def _side(self, subject: AnalysisSubject, parts: Mapping[str, Values], name: str, split: str) -> Side:
        """Of one model and split: losses at 0 `(N,)`, verdicts `(N,)`, losses `(D, A, N)`, mean rises `(D, N)`."""
        centre = np.array(parts[_key(name, split)]["loss"])
        losses_along = np.array([parts[_key(name, split, number)]["losses"] for number in range(self.directions)])
        return {
            "centre": centre,
            "robust": np.array(parts[_key(name, split)]["robust"], float),
            "losses": losses_along,
            "rise": losses_along.mean(axis=1) - centre,
        }


def _key(model: str, split: str, number: int | None = None) -> str:
    return f"{model}, {split}" + ("" if number is None else f", direction {number + 1}")


def _rounded(loss: Tensor) -> list[float]:
    # A network that breaks down far from its weights has a loss that is large, not one that JSON cannot hold.
    return [round(value, _DIGITS) for value in loss.nan_to_num(nan=1e4, posinf=1e4).clamp_max(1e4).tolist()]


def _told(side: Side, seed: int) -> Values:
    return {
        "centre": mean(side["centre"], seed=seed).json,
        "robust": mean(side["robust"], seed=seed).json,
        "sharpness": mean(side["rise"].mean(axis=0), seed=seed).json,
        "by_direction": side["rise"].mean(axis=1).round(_DIGITS).tolist(),
        "curves": side["losses"].mean(axis=2).round(_DIGITS).tolist(),
    }


def _gap(sides: Sides, seed: int) -> Estimate:
    """Robust accuracy on training images less that on test images."""
    return contrast(sides["train"]["robust"], sides["test"]["robust"], seed=seed)


def _gap_difference(sides: Sides, first: Sides, seed: int) -> Estimate:
    """How the gaps of two models differ: verdicts on the same images are compared first."""
    train, test = (sides[split]["robust"] - first[split]["robust"] for split in ("train", "test"))
    return contrast(train, test, seed=seed)


def _claim(text: str, difference: Mapping[str, float], what: str, unit: float = 1.0) -> Claim:
    """That a difference is below 0."""
    found = Estimate.of(difference)
    verdict = ClaimVerdict.of_less(found.low, found.high)
    return Claim(text=text, verdict=verdict.value, evidence=f"{what} {found.told(unit=unit, signed=True)}.")


ENTRY = Landscape()
