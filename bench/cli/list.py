"""`bench list`: what there is."""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.layout import table
from bench.cli.options import DatasetFilter, Json
from bench.cli.output import json_text, say
from bench.core.errors import BenchError, UnknownNameError
from bench.core.types import COMMON_THREAT_MODELS

if TYPE_CHECKING:
    from bench.suites import AttackSuite

__all__ = ["Kind", "list_names"]

_Value = str | int | bool | list[str] | None
_Entry = dict[str, _Value]


class Kind(str, enum.Enum):
    """What can be listed."""

    MODELS = "models"
    DATASETS = "datasets"
    THREAT_MODELS = "threat-models"
    ATTACKS = "attacks"
    SUITES = "suites"
    RECIPES = "recipes"
    CHECKS = "checks"
    ANALYSES = "analyses"


def list_names(
    what: Annotated[Kind, typer.Argument(help="What to list.")],
    source: Annotated[
        str | None, typer.Option(metavar="NAME", help="Models of a library: robustbench, timm or torchvision.")
    ] = None,
    dataset: DatasetFilter = None,
    as_json: Json = False,
) -> None:
    """List models, datasets, threat models, attacks, suites, recipes, the doctor's checks or analyses.

    \b
    Examples:
      bench list models
      bench list models --source robustbench --dataset cifar10
      bench list suites --json
    """
    if what is not Kind.MODELS and (source, dataset) != (None, None):
        raise BenchError(f"--source and --dataset choose among models; leave them out for {what.value}.")
    entries = _models(source, dataset) if what is Kind.MODELS else _LISTINGS[what]()
    if as_json:
        say(json_text(entries))
    else:
        headers = list(entries[0]) if entries else ["name"]
        say(table(headers, [tuple(map(_cell, entry.values())) for entry in entries]))


def _cell(value: _Value) -> str:
    """A value as a table shows it; JSON has it as it is."""
    if isinstance(value, list):
        return ", ".join(value) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def _models(source: str | None, dataset: str | None) -> list[_Entry]:
    from bench import data, models
    from bench.models import SOURCES

    if dataset is not None:
        spec = data.DATASETS.get(dataset)
        dataset = spec.base or spec.name
    if source is not None:
        able = {each.name: each.listing for each in SOURCES if each.listing is not None}
        if source not in able:
            raise UnknownNameError("source whose models can be listed", source, able)
        return [{**each} for each in able[source](dataset)]
    own: list[_Entry] = [
        {
            "name": each.spec.name,
            "checkpoints": list(each.datasets),
            "paper": each.spec.paper,
            "summary": each.spec.summary,
        }
        for each in models.listing()
        if dataset is None or dataset in each.datasets
    ]
    others: list[_Entry] = [
        {"name": name, "checkpoints": None, "paper": None, "summary": f"of package {package}"}
        for name, package in models.installed().items()
    ]
    return own if dataset is not None else [*own, *others]


def _datasets() -> list[_Entry]:
    from bench import data

    return [
        {
            "name": spec.name,
            "threat models": [str(each) for each in spec.threat_models],
            "test examples": spec.sizes["test"],
            "summary": spec.summary,
        }
        for spec in data.DATASETS
    ]


def _threat_models() -> list[_Entry]:
    from bench import data

    return [
        {
            "name": str(threat_model),
            "datasets": [spec.name for spec in data.DATASETS if threat_model in spec.threat_models],
            "used by": used_by,
        }
        for threat_model, used_by in COMMON_THREAT_MODELS
    ]


def _attacks() -> list[_Entry]:
    from bench import attacks

    return [
        {
            "name": attack.name,
            "norms": sorted(map(str, attack.norms)),
            "summary": (inspect.getdoc(type(attack)) or "").partition("\n")[0],
        }
        for attack in attacks.ATTACKS
    ]


def _suites() -> list[_Entry]:
    from bench import suites

    return [
        {
            "name": suite.label,
            "digest": suite.digest[:12],
            "attacks": [*_plain(suite), *_by_structure(suite)],
        }
        for suite in suites.SUITES
    ]


def _plain(suite: AttackSuite) -> list[str]:
    return [attack.name for attack in suite.attacks]


def _by_structure(suite: AttackSuite) -> list[str]:
    return [
        f"{attack.name} (on {rule.structure})" if rule.structure is not None else attack.name
        for rule in suite.rules
        for attack in rule.attacks
    ]


def _recipes() -> list[_Entry]:
    from bench.training.recipes import RECIPES

    return [
        {"name": recipe.name, "scales": list(recipe.scales), "paper": recipe.paper, "summary": recipe.title}
        for recipe in RECIPES
    ]


def _checks() -> list[_Entry]:
    from bench.diagnostics import JUDGED, select

    return [
        {"name": each.id, "question": each.question, "in every run": each.short is not None or each.id in JUDGED}
        for each in select()
    ]


def _analyses() -> list[_Entry]:
    from bench.analysis import ANALYSES

    return [
        {"name": each.name, "models": f"{each.least_models} or more", "source": each.source, "question": each.question}
        for each in ANALYSES
    ]


_LISTINGS: dict[Kind, Callable[[], list[_Entry]]] = {
    Kind.DATASETS: _datasets,
    Kind.THREAT_MODELS: _threat_models,
    Kind.ATTACKS: _attacks,
    Kind.SUITES: _suites,
    Kind.RECIPES: _recipes,
    Kind.CHECKS: _checks,
    Kind.ANALYSES: _analyses,
}
