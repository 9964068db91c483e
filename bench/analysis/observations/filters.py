"""AW-Net's observation: the filters of a standard and of an adversarially trained twin follow different distributions.

Wei, Zhao, Li 2024 (arXiv 2306.03430). Their statistic and their plot could not be read.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from torch import Tensor

from bench.analysis.analysis import Analysis, Claim, Table, Task, Values, Verdict
from bench.analysis.distributions import Array, separation
from bench.analysis.estimate import Estimate, mean
from bench.analysis.filters import STATISTICS, check_twins, layers, statistics
from bench.analysis.routing import routing
from bench.analysis.subject import Subject
from bench.attacks.adaptive.steered_route import SteeredRoute
from bench.attacks.pgd import PGD, PGD_20_STEP
from bench.core.errors import BenchError
from bench.core.structure import structures_of
from bench.models import LoadedModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ENTRY", "Filters"]

_EDGES = 41
_AMONG = "the twins among each other"
_MEASURES = ("ks", "wasserstein")
_LEVEL = 0.05
_PGD_20 = PGD(name="pgd-20", steps=20, relative_step_size=PGD_20_STEP)
_STEERED = SteeredRoute(weights=(Fraction(1), Fraction(-1)), steps=20)
_CLAIM = "Filters of {other} follow other weight distributions than those of {first}."


@dataclass(frozen=True, kw_only=True)
class Filters(Analysis):
    """The analysis.

    Args:
        pgd: the attack whose inputs a router sees.
        adaptive: the attack that also steers the router.
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
        " (Holm). A claim holds where more than half of the layers differ, is not settled where fewer do, and fails"
        " where none does or the control differs as much.",
        "A batch norm behind a convolution undoes the scale of its filters, so norms may reflect the length of training"
        " and its weight decay as well as what was learned; the ratio does not.",
        "The adaptive attack on the router is `steered` of `adaptive-v1` with weights 1 and -1 and 20 steps.",
    )

    pgd: PGD = _PGD_20
    adaptive: SteeredRoute = _STEERED

    def tasks(self, subject: Subject) -> tuple[Task, ...]:
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
            Task(
                name=name, about=(first, twin), effort=1.0, work=functools.partial(_compare, first, twin, subject.seed)
            )
            for name, twin in twins
        )
        others = static[1:]
        among = functools.partial(_among, others)
        beside = (Task(name=_AMONG, about=tuple(others), effort=0.1, work=among),) if len(others) > 1 else ()
        return (*pairs, *beside, *(self._routing(subject, model) for model in routed))

    def conclude(self, subject: Subject, parts: Mapping[str, Values]) -> Values:
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
        return (*found, *(_router_claim(name, part["router"]) for name, part in values["routers"].items()))

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
                (_AMONG, label, *(Estimate.of(values["among"][key][measure]).told() for measure in _MEASURES), "", "")
                for key, label in STATISTICS.items()
            ]
        title = (
            f"Distances from the filters of {values['first']}, mean over layers with a 95 % bootstrap interval;"
            " Wasserstein in pooled standard deviations; by chance: 95 % quantile of KS between random halves."
        )
        headers = ("twin", "per filter", "KS", "Wasserstein", "KS by chance", "layers that differ")
        tables = [Table(title=title, headers=headers, rows=tuple(rows))]
        if values["routers"]:
            tables.append(_router_table(values["routers"]))
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

    def _routing(self, subject: Subject, model: LoadedModel) -> Task:
        def work() -> Values:
            return routing(
                model.module,
                subject.examples.to(subject.device),
                subject.threat_model,
                pgd=self.pgd,
                adaptive=self.adaptive,
                seed=subject.seed,
            )

        return Task(name=model.name, about=(model,), effort=20.0, work=work)

    def _pair_claim(self, values: Values, name: str) -> Claim:
        pair, control = values["pairs"][name], values["control"]
        n_layers, n_different = len(pair["layers"]), _n_different(pair, "norm")
        distance = _mean_over_layers(pair, "norm", "ks")
        evidence = f"norms differ in {n_different} of {n_layers} layers, mean KS {distance.told()}"
        verdict = Verdict.HOLDS if 2 * n_different > n_layers else Verdict.UNSETTLED if n_different else Verdict.FAILS
        if control is not None:
            more = _difference(pair, values["pairs"][control])
            evidence += f"; {more.told()} more than between two seeds of {values['first']}"
            verdict = verdict if more.low > 0 else Verdict.FAILS
        if values["among"] is not None:
            evidence += f"; the twins among each other: mean KS {Estimate.of(values['among']['norm']['ks']).told()}"
        evidence += f"; in the ratio that scale does not change, {_n_different(pair, 'shape')} layers differ."
        text = _CLAIM.format(other=name, first=values["first"])
        return Claim(text=text, verdict=verdict.value, evidence=evidence)


def _control(name: str) -> str:
    return f"{name} (other seed)"


def _compare(first: LoadedModel, second: LoadedModel, seed: int) -> Values:
    """Per layer: distances of every statistic, and histograms of all weights over a common range."""
    one, other = layers(first.module), layers(second.module)
    found = []
    for name in one:
        ours, theirs = statistics(one[name]), statistics(other[name])
        edges = np.linspace(*_range(one[name].numpy(), other[name].numpy()), _EDGES)
        entry: Values = {
            "name": name,
            "n_filters": len(one[name]),
            "reach": float(edges[-1]),
            "weights": [np.histogram(weights.numpy(), edges)[0].tolist() for weights in (one[name], other[name])],
        }
        for key in STATISTICS:
            found_apart = vars(separation(ours[key].numpy(), theirs[key].numpy(), seed=seed))
            entry[key] = {measure: float(f"{value:.6g}") for measure, value in found_apart.items()}
        found.append(entry)
    return {"layers": found}


def _among(twins: Sequence[LoadedModel]) -> Values:
    """Distances between the twins themselves: per layer the mean over all pairs, then the mean over layers."""
    found: list[Values] = []
    for one, other in itertools.combinations(twins, 2):
        ours, theirs = layers(one.module), layers(other.module)
        found += [{"layer": name, **_distances(ours[name], theirs[name])} for name in ours]
    by_layer = {name: [entry for entry in found if entry["layer"] == name] for name in layers(twins[0].module)}
    return {
        key: {
            measure: mean(
                [np.mean([entry[key][measure] for entry in entries]) for entries in by_layer.values()], seed=0
            ).json
            for measure in _MEASURES
        }
        for key in STATISTICS
    }


def _distances(first: Tensor, second: Tensor) -> Values:
    ours, theirs = statistics(first), statistics(second)
    return {key: vars(separation(ours[key].numpy(), theirs[key].numpy(), seed=0, permutations=1)) for key in STATISTICS}


def _range(first: Array, second: Array) -> tuple[float, float]:
    """Where 99 % of both samples lie, around 0."""
    reach = max(float(np.quantile(np.abs(sample), 0.99)) for sample in (first, second)) or 1.0
    return -reach, reach


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


def _percent(found: Mapping[str, float]) -> str:
    return f"{100 * found['value']:.0f} % ({100 * found['low']:.0f} to {100 * found['high']:.0f})"


def _router_claim(name: str, router: Mapping[str, Mapping[str, float]]) -> Claim:
    """Chance is a half on each side; a router that tells the types apart is above it on both."""
    told_apart = router["none"]["low"] > 0.5 and router["pgd"]["low"] > 0.5
    misled = router["none"]["high"] < 0.5 or router["pgd"]["high"] < 0.5
    verdict = Verdict.HOLDS if told_apart else Verdict.FAILS if misled else Verdict.UNSETTLED
    return Claim(
        text=f"The router of {name} tells clean from adversarial inputs.",
        verdict=verdict.value,
        evidence=(
            f"correct on {_percent(router['none'])} of clean inputs, {_percent(router['pgd'])} of those of PGD-20, and"
            f" {_percent(router['adaptive'])} of those of an attack that steers it."
        ),
    )


def _router_table(routers: Mapping[str, Values]) -> Table:
    rows = []
    for name, found in routers.items():
        parts = found["layers"]
        change, moved = (np.mean([layer[key]["value"] for layer in parts]) for key in ("change", "moved"))
        distance = np.mean([layer["ks"] for layer in parts])
        types = (_percent(found["router"][attack]) for attack in ("none", "pgd", "adaptive"))
        rows.append((name, *types, f"{100 * change:.0f} %", f"{100 * moved:.1f} %", f"{distance:.2f}"))
    headers = (
        "model",
        "no attack",
        "PGD-20",
        "adaptive",
        "filters rescaled by",
        "attack moves signals by",
        "KS of signals",
    )
    title = (
        "Router: how often the type is named correctly; by how much signals change the norms of the filters on clean"
        " inputs, by how much PGD-20 changes the signals, and the KS distance of signals on clean and adversarial"
        " inputs (means over layers)."
    )
    return Table(title=title, headers=headers, rows=tuple(rows))


ENTRY = Filters()
