"""DUCAT's observation: a large part of the test set is failed on by every robust model.

Wang et al. 2024 (arXiv 2410.12671), who call such examples always-failing, explain them by two jobs that one class has
to do, and give each class a dummy that adversarial examples may land in.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.analysis.always_failing import by_chance, shares
from bench.analysis.analysis import Analysis, AnalysisTask, Claim, ClaimVerdict, Table, Values
from bench.analysis.estimate import share
from bench.analysis.gallery import picture, verdicts_of
from bench.analysis.landing import PLACES, landing
from bench.analysis.subject import AnalysisSubject
from bench.attacks import PGD, PGD_20_STEP
from bench.attacks.adaptive import NaivePgd
from bench.core.structure import structures_of
from bench.models import LoadedModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ENTRY", "Failing"]

_PGD_20 = PGD(name="pgd-20", steps=20, relative_step_size=PGD_20_STEP)
_NAIVE = NaivePgd(name="naive-pgd-20")
_HALF = 0.5


@dataclass(frozen=True, kw_only=True)
class Failing(Analysis):
    """The analysis.

    Args:
        gallery: how many always-failing examples are shown.
        pgd: makes adversarial examples of models with dummy classes, on the function that decides.
        naive: the same on their raw logits, as the released evaluation does.
    """

    name: ClassVar[str] = "failing"
    question: ClassVar[str] = "Which examples does every robust model fail on?"
    source: ClassVar[str] = "DUCAT (Wang et al. 2024, arXiv 2410.12671)"
    uses_suite: ClassVar[bool] = True
    follows_rows: ClassVar[bool] = True
    choices: ClassVar[tuple[str, ...]] = (
        "A model fails on an example that it misclassifies clean or that its suite breaks. The model set is what is"
        " named; a model that withstands nothing takes nothing from the intersection, and is better left out.",
        "The share for k models is the mean over all subsets of k. It is held against what models of the same"
        " accuracies would have in common if they failed independently.",
        "Landing places are the largest raw logit under PGD-20 on the function that decides, and under PGD-20 on the"
        " cross-entropy of the raw logits, as the released evaluation attacks.",
    )

    gallery: int = 8
    pgd: PGD = _PGD_20
    naive: NaivePgd = _NAIVE

    def tasks(self, subject: AnalysisSubject) -> tuple[AnalysisTask, ...]:
        """The verdicts of each model, and the landing places of those with dummy classes."""
        tasks = []
        for model in subject.models:
            work = functools.partial(verdicts_of, subject, model)
            tasks.append(AnalysisTask(name=model.name, about=(model,), effort=3.0, work=work))
        for model in subject.models:
            if "raw-pairs" in structures_of(model.module):
                work = functools.partial(self._landing, subject, model)
                tasks.append(AnalysisTask(name=f"{model.name}, landing", about=(model,), effort=1.0, work=work))
        return tuple(tasks)

    def conclude(self, subject: AnalysisSubject, parts: Mapping[str, Values]) -> Values:
        """The intersection, by class, with pictures."""
        names = [model.name for model in subject.models]
        fails = np.array([parts[name]["fails"] for name in names], bool)
        labels = subject.examples.labels.numpy()
        always: NDArray[np.bool_] = np.asarray(fails.all(axis=0))
        classes = [
            {"name": name, "n": int((labels == number).sum()), "failing": int(always[labels == number].sum())}
            for number, name in enumerate(subject.dataset.class_names)
        ]
        landings = {name: parts[f"{name}, landing"] for name in names if f"{name}, landing" in parts}
        return {
            "suites": {name: parts[name]["suite"] for name in names},
            "failing": {name: int(fails[row].sum()) for row, name in enumerate(names)},
            "n_examples": len(labels),
            "n_always": int(always.sum()),
            "indices": subject.examples.indices.numpy()[always].tolist(),
            "by_chance": by_chance(fails),
            "growth": shares(fails, seed=subject.seed),
            "classes": classes,
            "landing": landings,
            "gallery": [
                picture(subject, parts[names[0]], names, parts, int(row))
                for row in np.flatnonzero(always)[: self.gallery]
            ],
        }

    def claims(self, values: Values) -> tuple[Claim, ...]:
        """That models fail together more than chance has it, and where adversarial examples of dummy classes land."""
        found = share(values["n_always"], values["n_examples"])
        n_models = len(values["failing"])
        claims = []
        if n_models > 1:
            verdict = ClaimVerdict.of_less(values["by_chance"] - found.high, values["by_chance"] - found.low)
            claims.append(
                Claim(
                    text="Robust models fail on the same examples: all fail on more of them than by chance.",
                    verdict=verdict.value,
                    evidence=(
                        f"{n_models} models all fail on {found.told(1, unit=100)} % of {values['n_examples']} examples;"
                        f" if they failed independently, {100 * values['by_chance']:.1f} %."
                    ),
                )
            )
        for name, places in values["landing"].items():
            claims.append(_landing_claim(name, places))
        return tuple(claims)

    def tables(self, values: Values) -> tuple[Table, ...]:
        """Models, classes, landing places."""
        total = values["n_examples"]
        models = tuple(
            (name, values["suites"][name], share(count, total).told(1, unit=100))
            for name, count in values["failing"].items()
        )
        classes = tuple(
            (each["name"], f"{each['failing']} of {each['n']}", share(each["failing"], each["n"]).told(0, unit=100))
            for each in values["classes"]
            if each["n"]
        )
        tables = [
            Table(title="What each model fails on, in percent.", headers=("model", "suite", "fails on"), rows=models),
            Table(
                title="Always-failing examples by class, in percent of the class.",
                headers=("class", "always failing", "share"),
                rows=classes,
            ),
        ]
        if values["landing"]:
            rows = tuple(
                (name, kind, *(share(count, total).told(0, unit=100) for count in counts))
                for name, places in values["landing"].items()
                for kind, counts in places.items()
            )
            title = "Where the largest raw logit lies, in percent of the examples."
            tables.append(Table(title=title, headers=("model", "inputs", *PLACES), rows=rows))
        return tuple(tables)

    def draw(self, values: Values) -> Mapping[str, Figure]:
        """Growth, classes, the gallery, and landing places."""
        from bench.analysis import failing_figures as figures  # matplotlib is loaded where something is drawn

        found = {
            "Share of examples that all of k models fail on; the band is over subsets of models": figures.growth(
                values
            ),
            "Always-failing examples by class; bars are 95 % intervals": figures.classes(values),
        }
        if values["gallery"]:
            found["Always-failing examples: clean, and the first model's stored break"] = figures.gallery(values)
        if values["landing"]:
            found["Where the largest raw logit lies"] = figures.landing(values)
        return found

    def _landing(self, subject: AnalysisSubject, model: LoadedModel) -> Values:
        placed = subject.examples.to(subject.device)
        attacks = (self.pgd, self.naive)
        return dict(landing(model.module, placed, subject.threat_model, attacks, seed=subject.seed))


def _landing_claim(name: str, places: Mapping[str, list[int]]) -> Claim:
    """Held against a half of all examples."""
    own = PLACES.index("its dummy")
    found = {kind: share(counts[own], sum(counts)) for kind, counts in places.items()}
    decided, naive = found[_PGD_20.name], found[_NAIVE.name]
    verdict = ClaimVerdict.of_less(_HALF - decided.high, _HALF - decided.low)
    return Claim(
        text=f"Most adversarial examples of {name} land in the dummy of their true class.",
        verdict=verdict.value,
        evidence=(
            f"{decided.told(0, unit=100)} % under PGD-20 on the function that decides,"
            f" {naive.told(0, unit=100)} % under PGD-20 on the raw cross-entropy,"
            f" {found['clean'].told(0, unit=100)} % of clean ones."
        ),
    )


ENTRY = Failing()
