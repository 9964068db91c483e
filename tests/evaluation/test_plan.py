"""What a run is, is decided once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.acceleration import forms as fast_forms
from bench.attacks.autoattack import ApgdCe
from bench.core.types import Examples, ThreatModel
from bench.evaluation import Estimator, evaluate, evaluate_plan, make_plan, search_precision, settled
from bench.suites import AttackSuite
from bench.suites.suite import Rule


class Net(nn.Module):
    """A small convolutional network with dummy classes that never win."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv, self.linear = nn.Conv2d(1, 8, 3, padding=1), nn.Linear(8 * 16, 2)
        self.eval()

    def raw(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.linear(torch.relu(self.conv(inputs)).flatten(1))
        return torch.cat((logits, logits - 9), dim=1)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.maximum(*self.raw(inputs).chunk(2, dim=1))


STAGES = ApgdCe(engine="fast", steps=3), ApgdCe(name="longer", engine="fast", steps=4)
PLAIN = AttackSuite(name="plain", version=1, attacks=STAGES[:1])
ADAPTIVE = AttackSuite(
    name="demo",
    version=1,
    attacks=STAGES[:1],
    extends=PLAIN,
    rules=(Rule(structure="raw-pairs", attacks=STAGES[1:]),),
)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How often a model was traced into a fast form, and how often a precision was chosen."""
    counts = {"forms": 0, "choices": 0}

    def count(name: str, owner: Any, attribute: str) -> None:
        made = getattr(owner, attribute)

        def counting(*arguments: Any, **options: Any) -> Any:
            counts[name] += 1
            return made(*arguments, **options)

        monkeypatch.setattr(owner, attribute, counting)

    count("forms", fast_forms, "_plain_form")
    count("choices", search_precision, "_ruled")
    monkeypatch.setattr(search_precision, "_LEAST_OPERATIONS", 0)
    monkeypatch.setattr(search_precision, "has_bfloat16", lambda device: True)
    return counts


def test_precision_and_forms_are_made_once(
    tmp_path: Path, examples: Examples, threat_model: ThreatModel, counted: dict[str, int]
) -> None:
    """For the prediction, every part of an adaptive suite and the run, in whatever precision each searches."""
    asked = make_plan(Net(), examples, threat_model=threat_model, suite=ADAPTIVE, journal=tmp_path / "journal")
    run = settled(asked)
    estimator = Estimator(plan=run)
    with estimator.probe() as probe:
        assert probe.seconds_per_pass() > 0
    found = evaluate_plan(run.part(slice(0, 70)))
    assert [attack.name for attack in found.attacks] == ["apgd-ce", "longer"] and found.n_examples == 70
    assert found.header.precision == search_precision.LADDER
    assert counted == {"forms": 1, "choices": 1}
    evaluate(Net(), examples[:70], threat_model=threat_model, suite=ADAPTIVE, journal=tmp_path / "journal")
    assert counted == {"forms": 2, "choices": 2}, "another run decides for itself"


def test_results_are_in_the_order_of_the_examples(
    linear: nn.Module, examples: Examples, threat_model: ThreatModel
) -> None:
    """Work is sorted by index, results are as the examples were handed over."""
    backwards = examples[torch.arange(199, -1, -1)]
    plan = settled(make_plan(linear, backwards, threat_model=threat_model, suite=PLAIN))
    assert plan.examples.indices.tolist() == list(range(200))
    assert evaluate_plan(plan).indices == tuple(range(199, -1, -1))


def test_a_part_of_a_run_is_the_run_on_fewer_examples(
    linear: nn.Module, examples: Examples, threat_model: ThreatModel
) -> None:
    """Under the same header, so that a journal serves both."""
    plan = settled(make_plan(linear, examples, threat_model=threat_model, suite=PLAIN))
    part = plan.part(slice(64, 130))
    assert part.header == plan.header and part.indices == tuple(range(64, 130))
    assert evaluate_plan(part).robust == evaluate_plan(plan).robust[64:130]


def test_whoever_executes_a_plan_settles_it(linear: nn.Module, examples: Examples, threat_model: ThreatModel) -> None:
    """Its forms are not decided before; then never again."""
    plan = make_plan(linear, examples, threat_model=threat_model, suite=PLAIN)
    assert plan.forms is None and plan.header.precision == search_precision.AUTO
    done = settled(plan)
    assert done.forms is not None and settled(done) is done
    assert evaluate_plan(plan).robust == evaluate_plan(done).robust
