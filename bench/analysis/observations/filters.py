"""AW-Net's observation: the filters of a standard and of an adversarially trained twin follow different distributions.

Wei, Zhao, Li 2024 (arXiv 2306.03430). Their statistic and their plot could not be read.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from bench.analysis.analysis import Analysis, AnalysisTask, Claim, ClaimVerdict, Table, Values
from bench.analysis.estimate import Estimate, mean
from bench.analysis.filters import STATISTICS, check_twins
from bench.analysis.router_words import router_claim, router_table
from bench.analysis.routing import routing
from bench.analysis.subject import AnalysisSubject
from bench.analysis.twins import MEASURES, among, compare
from bench.attacks import PGD, PGD_20_STEP
from bench.core.errors import BenchError
from bench.core.structure import structures_of
from bench.models import LoadedModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ENTRY", "Filters"]

_AMONG = "the twins among each other"
_LEVEL = 0.05
_PGD_20 = PGD(name="pgd-20", steps=20, relative_step_size=PGD_20_STEP)
_CLAIM = "Filters of {other} follow other weight distributions than those of {first}."


@dataclass(frozen=True, kw_only=True)
class Filters(Analysis):
    """The analysis.

    Args:
        pgd: the attack whose inputs a router sees.
    """

    name: ClassVar[str] = "filters"
    question: ClassVar[str] = "Do adversarial training and standard training give filters of different distributions?"
    source: ClassVar[str] = "AW-Net (Wei, Zhao, Li 2024, arXiv 2306.03430)"
    least_models: ClassVar[int] = 2
    takes_control: ClassVar[bool] = True
    choices: ClassVar[tuple[str, ...]] = (
        "The statistic: per layer, the two-sample Kolmogorov-Smirnov distance between the filters' L2 norms (also mean"
        " absolute weight, standard deviation, and their ratio, which no rescaling of a filter changes).",
        "What chance would give: both twins' filters mixed and divided again, 999 times; layers are corrected together"
        " (Holm). A claim holds where more than half of the layers differ, and more than in a control if there is one;"
        " it fails where none differs, or the control differs as much.",
        "A batch norm behind a convolution undoes the scale of its filters, so norms may reflect the length of training"
        " and its weight decay as well as what was learned; the ratio does not.",
        "Steered: the last iterate of PGD-20 on the cross-entropy plus the logarithm of the router's probability of"
        " clean.",
    )

    pgd: PGD = _PGD_20

    def tasks(self, subject: AnalysisSubject) -> tuple[AnalysisTask, ...]:
        """One for each twin of the first static model, one for the control, one for each model with a router."""
        static = [model for model in subject.models if "routes" not in structures_of(model.module)]
        routed = [model for model in subject.models if "routes" in structures_of(model.module)]
        if len(static) < 2:
            raise BenchError(
                "Analysis 'filters' compares two models of one architecture without a router, but got"
                f" {', '.join(model.name for model in static) or 'none'}: try --model standard --model pgd-at."
            )
        first, twins = static[0], [(model.name, model) for model in static[1:]]
        if subject.control is not None:
            twins.append((_control(first.name), subject.control))
        for _, twin in twins:
            check_twins(first, twin)
        pairs = (
            AnalysisTask(
                name=name, about=(first, twin), effort=1.0, work=functools.partial(compare, first, twin, subject.seed)
            )
            for name, twin in twins
        )
        others = static[1:]
        beside_work = functools.partial(among, others)
        beside = (
            (AnalysisTask(name=_AMONG, about=tuple(others), effort=0.1, work=beside_work),) if len(others) > 1 else ()
        )
        return (*pairs, *beside, *(self._routing(subject, model) for model in routed))

    def conclude(self, subject: AnalysisSubject, parts: Mapping[str, Values]) -> Values:
        """Pairs and routers apart."""
        routers = {name: part for name, part in parts.items() if "router" in part}
        static = next(model for model in subject.models if model.name not in routers)
        return {
            "first": static.name,
            "control": _control(static.name) if subject.control is not None else None,
            "pairs": {name: part for name, part in parts.items() if name not in routers and name != _AMONG},
            "among": parts.get(_AMONG),
            "routers": routers,
        }

    def claims(self, values: Values) -> tuple[Claim, ...]:
        """One for each twin, two for each router."""
        control: str | None = values["control"]
        twins = [name for name in values["pairs"] if name != control]
        found = [self._pair_claim(values, name) for name in twins]
        return (*found, *(router_claim(name, part["router"]) for name, part in values["routers"].items()))

    def tables(self, values: Values) -> tuple[Table, ...]:
        """Mean distances over the layers for each pair, and what the routers do."""
        rows: list[tuple[str, ...]] = [
            (
                name,
                label,
                _mean_over_layers(pair, key, "ks").told(),
                _mean_over_layers(pair, key, "wasserstein").told(),
                f"{np.mean([layer[key]['by_chance'] for layer in pair['layers']]):.2f}",
                f"{_n_different(pair, key)} of {len(pair['layers'])}",
            )
            for name, pair in values["pairs"].items()
            for key, label in STATISTICS.items()
        ]
        if values["among"] is not None:
            rows += [
                (_AMONG, label, *(Estimate.of(values["among"][key][measure]).told() for measure in MEASURES), "", "")
                for key, label in STATISTICS.items()
            ]
        title = (
            f"Distances from the filters of {values['first']}, mean over layers with a 95 % bootstrap interval;"
            " Wasserstein in pooled standard deviations; by chance: 95 % quantile of KS between random halves."
        )
        headers = ("twin", "per filter", "KS", "Wasserstein", "KS by chance", "layers that differ")
        tables = [Table(title=title, headers=headers, rows=tuple(rows))]
        if values["routers"]:
            tables.append(router_table(values["routers"]))
        return tuple(tables)

    def draw(self, values: Values) -> Mapping[str, Figure]:
        """Distance against depth, weight histograms, and signals."""
        from bench.analysis import filter_figures as figures  # matplotlib is loaded where something is drawn

        found = {
            f"Distance from the filters of {values['first']} against depth": figures.depth(values),
            "Weights of the first, a middle and the last convolution": figures.weights(values),
        }
        if values["routers"]:
            found["Regulation signals on clean and on adversarial inputs"] = figures.signals(values["routers"])
        return found

    def _routing(self, subject: AnalysisSubject, model: LoadedModel) -> AnalysisTask:
        def work() -> Values:
            return routing(
                model.module,
                subject.examples.to(subject.device),
                subject.threat_model,
                pgd=self.pgd,
                seed=subject.seed,
            )

        return AnalysisTask(name=model.name, about=(model,), effort=20.0, work=work)

    def _pair_claim(self, values: Values, name: str) -> Claim:
        pair, control = values["pairs"][name], values["control"]
        n_layers, n_different = len(pair["layers"]), _n_different(pair, "norm")
        distance = _mean_over_layers(pair, "norm", "ks")
        evidence = f"norms differ in {n_different} of {n_layers} layers, mean KS {distance.told()}"
        few = ClaimVerdict.UNSETTLED if n_different else ClaimVerdict.FAILS
        verdict = ClaimVerdict.HOLDS if 2 * n_different > n_layers else few
        if control is not None:
            more = _difference(pair, values["pairs"][control])
            evidence += f"; {more.told()} more than between two seeds of {values['first']}"
            if more.low <= 0 and n_different:
                verdict = ClaimVerdict.FAILS if more.high <= 0 else ClaimVerdict.UNSETTLED
        if values["among"] is not None:
            evidence += f"; the twins among each other: mean KS {Estimate.of(values['among']['norm']['ks']).told()}"
        evidence += f"; in the ratio that scale does not change, {_n_different(pair, 'shape')} layers differ."
        text = _CLAIM.format(other=name, first=values["first"])
        return Claim(text=text, verdict=verdict.value, evidence=evidence)


def _control(name: str) -> str:
    return f"{name} (other seed)"


def _n_different(pair: Values, key: str) -> int:
    """Layers whose filters differ, all layers together at 5 % (Holm)."""
    ordered = sorted(layer[key]["p_value"] for layer in pair["layers"])
    passed = [p_value <= _LEVEL / (len(ordered) - place) for place, p_value in enumerate(ordered)]
    return passed.index(False) if False in passed else len(passed)


def _mean_over_layers(pair: Values, key: str, measure: str) -> Estimate:
    return mean([layer[key][measure] for layer in pair["layers"]], seed=0)


def _difference(pair: Values, control: Values) -> Estimate:
    pairs = zip(pair["layers"], control["layers"], strict=True)
    return mean([ours["norm"]["ks"] - theirs["norm"]["ks"] for ours, theirs in pairs], seed=0)


ENTRY = Filters()
