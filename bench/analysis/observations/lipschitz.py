"""RobustWRN's observation: a narrower last stage makes a wide network smoother and more robust than a matched one.

Huang et al. 2021 (arXiv 2110.03825). The empirical Lipschitz constant at the adversarial point and the stability are
those of their released code; their theorem could not be read.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

from bench.analysis.analysis import Analysis, AnalysisTask, Claim, ClaimVerdict, Table, Values
from bench.analysis.anatomy import layers_of, n_parameters, spectral_norm
from bench.analysis.estimate import Estimate, mean, share
from bench.analysis.subject import AnalysisSubject
from bench.attacks import PGD, TENTH
from bench.core.types import Examples, Norm
from bench.evaluation import CHUNK_SIZE
from bench.models import LoadedModel
from bench.ops import norms

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ENTRY", "Lipschitz", "empirical"]

_PGD_20 = PGD(name="pgd-20", steps=20, relative_step_size=TENTH)
_OFFSET = 1e-6
_MILLION = 1e6


@dataclass(frozen=True, kw_only=True)
class Lipschitz(Analysis):
    """The analysis.

    Args:
        attack: makes the point at which the constant is measured.
    """

    name: ClassVar[str] = "lipschitz"
    question: ClassVar[str] = "Which network is smoother: how far do its logits move at the adversarial point?"
    source: ClassVar[str] = "RobustWRN (Huang et al. 2021, arXiv 2110.03825)"
    samples: ClassVar[int] = 128
    choices: ClassVar[tuple[str, ...]] = (
        "L(x) = |f(x) - f(x')|_1 / |x - x' + 1e-6|_inf of logits f, x' the point of PGD-20 with steps of a tenth of"
        " epsilon (here the iterate of smallest margin, there the last); the mean is over images.",
        "Stable: the answer at x' is that at x, whatever the label.",
        "Spectral norms are of the convolution operators with their padding and stride, 20 power iterations in float64,"
        " without the batch norm behind them, which rescales every channel; a stage is a run of layers whose outputs"
        " have one size, and its product is over kernels wider than 1.",
        "Networks of equal parameters need not be of equal multiplications: both are given.",
    )

    attack: PGD = _PGD_20

    def tasks(self, subject: AnalysisSubject) -> tuple[AnalysisTask, ...]:
        """Two for each model: the attack, and the layers."""
        tasks = []
        for model in subject.models:
            attacked = functools.partial(self._attacked, subject, model)
            layered = functools.partial(_layers, subject, model)
            tasks.append(AnalysisTask(name=f"{model.name}, attack", about=(model,), effort=3.0, work=attacked))
            tasks.append(AnalysisTask(name=f"{model.name}, layers", about=(model,), effort=1.0, work=layered))
        return tuple(tasks)

    def conclude(self, subject: AnalysisSubject, parts: Mapping[str, Values]) -> Values:
        """Every model, and how the first differs from the others on the same images."""
        first = subject.models[0].name
        points = {model.name: parts[f"{model.name}, attack"] for model in subject.models}
        models = {}
        for name, found in points.items():
            stable = found["stable"]
            models[name] = {
                "lipschitz": mean(found["lipschitz"], seed=subject.seed).json,
                "stable": share(sum(stable), len(stable)).json,
                **parts[f"{name}, layers"],
            }
        against = {
            name: {
                "lipschitz": _paired(points[first]["lipschitz"], found["lipschitz"], subject.seed),
                "unstable": _paired(found["stable"], points[first]["stable"], subject.seed),
            }
            for name, found in points.items()
            if name != first
        }
        return {"models": models, "first": first, "first_against": against, "examples": points}

    def claims(self, values: Values) -> tuple[Claim, ...]:
        """Two for each model after the first: the first is smoother, and more stable."""
        claims = []
        first = values["first"]
        for name, against in values["first_against"].items():
            ours, theirs = values["models"][first], values["models"][name]
            parameters, macs = (_times(ours[key], theirs[key]) for key in ("parameters", "macs"))
            size = f"{first} has {parameters} the parameters and {macs} the multiplications"
            claims.append(
                _claim(
                    f"{first} has a smaller empirical Lipschitz constant than {name}.",
                    against["lipschitz"],
                    f"{ours['lipschitz']['value']:.2f} against {theirs['lipschitz']['value']:.2f}, difference",
                    size,
                )
            )
            claims.append(
                _claim(
                    f"{first} is more stable under attack than {name}.",
                    against["unstable"],
                    f"{100 * ours['stable']['value']:.1f} against {100 * theirs['stable']['value']:.1f} % stable,"
                    " difference of unstable shares",
                    size,
                )
            )
        return tuple(claims)

    def tables(self, values: Values) -> tuple[Table, ...]:
        """The models, and the stages of each."""
        rows = [
            (
                name,
                Estimate.of(found["lipschitz"]).told(),
                Estimate.of(found["stable"]).told(1, unit=100),
                f"{found['parameters'] / _MILLION:.3f}",
                f"{found['macs'] / _MILLION:.1f}",
                ", ".join(f"{stage['product']:.3g}" for stage in found["stages"]),
            )
            for name, found in values["models"].items()
        ]
        headers = ("model", "Lipschitz", "stable (%)", "parameters (M)", "MACs (M)", "spectral products by stage")
        title = "Empirical Lipschitz constant and stability under PGD-20, size, and spectral norms multiplied by stage."
        return (Table(title=title, headers=headers, rows=tuple(rows)),)

    def draw(self, values: Values) -> Mapping[str, Figure]:
        """The constant against stability, and spectral norms against depth."""
        from bench.analysis import lipschitz_figures as figures  # matplotlib is loaded where something is drawn

        return {
            "Empirical Lipschitz constant and perturbation stability; bars are 95 % intervals": figures.smoothness(
                values
            ),
            "Spectral norms of the layers, from the input": figures.spectra(values),
        }

    def _attacked(self, subject: AnalysisSubject, model: LoadedModel) -> Values:
        constants, stable = [], []
        for part in subject.examples.to(subject.device).split(CHUNK_SIZE):
            points = self.attack.perturb(model.module, part, subject.threat_model, seed=subject.seed)
            found, same = empirical(model.module, part, points)
            constants += [round(value, 6) for value in found.tolist()]
            stable += same.tolist()
        return {"lipschitz": constants, "stable": stable}


def empirical(module: nn.Module, examples: Examples, points: Tensor) -> tuple[Tensor, Tensor]:
    """The empirical Lipschitz constant at points, and whether the answer is the same there: both `(N,)`.

    Args:
        module: inputs to logits.
        examples: the clean inputs.
        points: `(N, C, H, W)`.
    """
    with torch.no_grad():
        clean, moved = module(examples.inputs), module(points)
    change = (clean - moved).abs().sum(dim=1)
    length = norms.size(examples.inputs - points + _OFFSET, Norm.LINF)
    return change / length, clean.argmax(dim=1) == moved.argmax(dim=1)


def _layers(subject: AnalysisSubject, model: LoadedModel) -> Values:
    layers = layers_of(model.module, subject.examples[:1].inputs.to(subject.device))
    modules = dict(model.module.named_modules())
    spectral = {layer.name: spectral_norm(modules[layer.name], layer.shape, seed=subject.seed) for layer in layers}
    stages: list[Values] = []
    for layer in layers:
        if layer.kernel <= 1:
            continue
        if not stages or stages[-1]["size"] != layer.size:
            stages.append({"size": layer.size, "n_layers": 0, "product": 1.0})
        stages[-1]["n_layers"] += 1
        stages[-1]["product"] *= spectral[layer.name]
    return {
        "parameters": n_parameters(model.module),
        "macs": sum(layer.macs for layer in layers),
        "layers": [
            {"name": layer.name, "kernel": layer.kernel, "spectral": round(spectral[layer.name], 5)} for layer in layers
        ],
        "stages": stages,
    }


def _times(one: int, other: int) -> str:
    """How many times as many; a network without convolutions and linear layers has no counted multiplications."""
    return f"{one / other:.2f} times" if other else "an unknown multiple of"


def _paired(one: list[float], other: list[float], seed: int) -> dict[str, float]:
    """Mean of `one` less `other` on the same images."""
    return mean([float(here) - float(there) for here, there in zip(one, other, strict=True)], seed=seed).json


def _claim(text: str, difference: Mapping[str, float], what: str, size: str) -> Claim:
    found = Estimate.of(difference)
    verdict = ClaimVerdict.of_less(found.low, found.high)
    return Claim(text=text, verdict=verdict.value, evidence=f"{what} {found.told(signed=True)}; {size}.")


ENTRY = Lipschitz()
