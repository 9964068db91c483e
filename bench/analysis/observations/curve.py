"""Robust accuracy against epsilon, from a bracket of the smallest adversarial perturbation of each example.

The suite decides at its own epsilon: what it broke starts a search below, what it left starts one above. The search
takes no more passes than the suite did, so a whole curve costs at most twice the suite.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from bench.analysis.analysis import Analysis, AnalysisTask, Claim, ClaimVerdict, Table, Values
from bench.analysis.brackets import Bisection, Brackets
from bench.analysis.estimate import share
from bench.analysis.radial import distance
from bench.analysis.stored_brackets import StoredBrackets
from bench.analysis.subject import AnalysisSubject, SuiteVerdicts
from bench.core.types import Norm, ThreatModel
from bench.evaluation import judge
from bench.models import LoadedModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ENTRY", "Curve"]

_LARGEST = Fraction(99, 100)
_TOLERATED = 0.001
_AT_MOST = 2.0


@dataclass(frozen=True, kw_only=True)
class Curve(Analysis):
    """The analysis.

    Args:
        rounds: how often each bracket is halved, at most.
        steps: of the ascent to each class at each radius.
        targets: how many classes are tried at each radius.
        ceiling: largest radius that is tried, in units of epsilon.
    """

    name: ClassVar[str] = "curve"
    question: ClassVar[str] = "How does robust accuracy fall as epsilon grows, and what does it cost in clean accuracy?"
    source: ClassVar[str] = "Ours, over what a suite finds at one epsilon"
    uses_suite: ClassVar[bool] = True
    choices: ClassVar[tuple[str, ...]] = (
        "The search at each radius is ten steps of ascent towards each of the three strongest wrong classes, begun at"
        " what was found at the radius before.",
        "The upper end of a bracket is the distance of a break that the original model confirms. The lower end is a"
        " radius that the search did not break, no certificate. Inside a bracket, where neither is known, the middle"
        " decides: there the curve is an estimate, elsewhere an upper bound, as empirical ones are.",
        "At the suite's epsilon the suite decides; the search looks only below what it broke and above what it left.",
    )

    rounds: int = 5
    steps: int = 10
    targets: int = 3
    ceiling: int = 4

    def tasks(self, subject: AnalysisSubject) -> tuple[AnalysisTask, ...]:
        """One for each model."""
        return tuple(
            AnalysisTask(
                name=model.name, about=(model,), effort=1.0, work=functools.partial(self._measure, subject, model)
            )
            for model in subject.models
        )

    def conclude(self, subject: AnalysisSubject, parts: Mapping[str, Values]) -> Values:
        """The brackets of all models."""
        return {
            "epsilon": float(subject.threat_model.epsilon),
            "epsilon_text": str(subject.threat_model),
            "models": {model.name: parts[model.name] for model in subject.models},
        }

    def claims(self, values: Values) -> tuple[Claim, ...]:
        """That the curve meets the suite, and what it costs."""
        models: dict[str, Values] = values["models"]
        gaps = {name: _gap(found, values["epsilon"]) for name, found in models.items()}
        costs = {name: 1 + found["search_passes"] / max(found["suite_passes"], 1) for name, found in models.items()}
        worst, dearest = max(gaps, key=gaps.__getitem__), max(costs, key=costs.__getitem__)
        return (
            Claim(
                text="At the suite's epsilon the curve is the suite's number, within 0.1 point.",
                verdict=(ClaimVerdict.HOLDS if gaps[worst] <= _TOLERATED else ClaimVerdict.FAILS).value,
                evidence=f"largest difference {100 * gaps[worst]:.2f} points ({worst}), over {len(models)} models.",
            ),
            Claim(
                text="The curve costs at most twice its suite.",
                verdict=(ClaimVerdict.HOLDS if costs[dearest] <= _AT_MOST else ClaimVerdict.FAILS).value,
                evidence=f"together they take at most {costs[dearest]:.2f} times the suite's passes ({dearest}).",
            ),
        )

    def tables(self, values: Values) -> tuple[Table, ...]:
        """Each model at a few radii."""
        epsilon: float = values["epsilon"]
        factors = (0.5, 1.0, 1.5, 2.0)
        headers = (
            "model",
            "suite",
            "clean",
            *(f"{factor:g} eps" for factor in factors),
            "median radius",
            "passes: search / suite",
        )
        rows = []
        for name, found in values["models"].items():
            brackets = StoredBrackets.of(found)
            counts = (brackets.n_clean, *(brackets.n_robust(factor * epsilon) for factor in factors))
            cost = f"{found['search_passes']:,} / {found['suite_passes']:,.0f}"
            cells = (_interval(count, len(brackets)) for count in counts)
            rows.append((name, found["suite"], *cells, _median(brackets, found, epsilon), cost))
        title = (
            f"Robust accuracy in percent with its 95 % interval, eps = {values['epsilon_text']}; the median radius of"
            " the smallest perturbation found, over correct examples, in units of eps."
        )
        return (Table(title=title, headers=headers, rows=tuple(rows)),)

    def draw(self, values: Values) -> Mapping[str, Figure]:
        """The curves with bands, and clean against robust accuracy."""
        from bench.analysis import curve_figures as figures  # matplotlib is loaded where something is drawn

        return {
            "Robust accuracy against epsilon; bands are 95 % intervals": figures.curves(values),
            "Clean against robust accuracy at the suite's epsilon": figures.trade_off(values),
        }

    def _measure(self, subject: AnalysisSubject, model: LoadedModel) -> Values:
        known = subject.verdicts(model)
        ceiling = ThreatModel(norm=subject.threat_model.norm, epsilon=_ceiling(subject.threat_model, self.ceiling))
        search = Bisection(
            ceiling=ceiling, rounds=self.rounds, steps=self.steps, targets=self.targets, seed=subject.seed
        )
        start = _start(subject, model, known)
        brackets, passes = search.narrow(model.module, subject.examples.to(subject.device), start, passes=known.passes)
        return {
            "suite": known.suite,
            "stored": known.stored,
            "n_robust": sum(known.robust),
            "suite_passes": known.passes,
            "search_passes": passes,
            "ceiling": float(ceiling.epsilon),
            "lower": brackets.lower.tolist(),
            "upper": [None if math.isinf(value) else value for value in brackets.upper.tolist()],
        }


def _ceiling(threat_model: ThreatModel, factor: int) -> Fraction:
    far = factor * threat_model.epsilon
    return min(far, _LARGEST) if threat_model.norm is Norm.LINF else far


def _start(subject: AnalysisSubject, model: LoadedModel, known: SuiteVerdicts) -> Brackets:
    """What the suite says: 0 for what is wrong already, the stored break below epsilon, epsilon for what is robust."""
    examples = subject.examples.to(subject.device)
    epsilon = float(subject.threat_model.epsilon)
    clean = torch.tensor(known.clean, device=subject.device)
    robust = torch.tensor(known.robust, device=subject.device)
    lower = torch.zeros(len(examples), dtype=torch.float64, device=subject.device)
    upper = lower.masked_fill(robust, torch.inf).masked_fill(clean & ~robust, epsilon)
    lower = lower.masked_fill(robust, epsilon)
    points = examples.inputs.clone()
    rows, breaks = _kept_breaks(subject, known)
    if len(rows):
        judged = judge(model.module, breaks.to(subject.device), examples[rows], subject.threat_model)
        far = distance(judged.points, examples[rows], subject.threat_model.norm)
        useful = ~judged.robust & clean[rows]
        points[rows[useful]] = judged.points[useful]
        upper[rows[useful]] = torch.minimum(far, upper[rows])[useful]
    return Brackets(lower=lower, upper=upper, points=points)


def _kept_breaks(subject: AnalysisSubject, known: SuiteVerdicts) -> tuple[Tensor, Tensor]:
    """Rows of the examples that a break was kept of, and the breaks `(M, C, H, W)`."""
    place = {index: row for row, index in enumerate(subject.examples.indices.tolist())}
    broken = [not held for held in known.robust]
    wanted = np.array([index in place and broken[place[index]] for index in known.breaks.indices.tolist()], bool)
    breaks = known.breaks.pick(wanted)
    rows = torch.tensor([place[index] for index in breaks.indices.tolist()], dtype=torch.int64)
    return rows.to(subject.device), torch.from_numpy(breaks.inputs(subject.examples[rows].inputs.numpy()))


def _gap(values: Values, epsilon: float) -> float:
    """How far the curve at `epsilon` is from the suite's share."""
    found = StoredBrackets.of(values)
    return abs(found.n_robust(epsilon) - int(values["n_robust"])) / len(found)


def _interval(count: int, total: int) -> str:
    found = share(count, total)
    return f"{100 * found.value:.1f} ({100 * found.low:.1f} to {100 * found.high:.1f})"


def _median(found: StoredBrackets, values: Values, epsilon: float) -> str:
    median = found.median
    if median is None:
        return "none correct"
    return f"over {values['ceiling'] / epsilon:g}" if math.isinf(median) else f"{median / epsilon:.2f}"


ENTRY = Curve()
