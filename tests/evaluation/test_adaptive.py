"""Tests of adaptive suites: a plain model has its standard verdicts, a structured one what its structure calls for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.attacks.adaptive import FrozenRoute, Joint
from bench.attacks.adaptive.measurements import DummyShare, RouterBehaviour
from bench.attacks.adaptive.naive import NaivePgd
from bench.attacks.adaptive.report import ReportedAttack
from bench.attacks.attack import Ensemble
from bench.attacks.fgsm import FGSM
from bench.attacks.pgd import PGD
from bench.core.errors import BenchError
from bench.core.structure import Route
from bench.core.types import Examples, ThreatModel
from bench.evaluation import default_journal, evaluate, make_plan, result_of
from bench.evaluation.counting import CountingClassifier
from bench.row.packing import unpack_verdicts
from bench.suites import AttackSuite
from bench.suites.suite import Rule

ATTACKS = FGSM(), PGD(steps=5)
PLAIN = AttackSuite(name="plain", version=1, attacks=ATTACKS)
ADAPTIVE = AttackSuite(
    name="demo",
    version=1,
    attacks=ATTACKS,
    extends=PLAIN,
    rules=(
        Rule(
            structure="raw-pairs",
            attacks=(Ensemble(name="adaptive-pairs", stages=(Joint(steps=5), Joint(name="joint-9", steps=9))),),
            reports=(
                ReportedAttack(name="naive", view="model", attack=NaivePgd(steps=5)),
                ReportedAttack(name="raw", view="raw", attack=PGD(steps=5)),
                DummyShare(attack=PGD(steps=5)),
            ),
        ),
        Rule(
            structure="routes",
            attacks=(FrozenRoute(name="frozen", steps=5),),
            reports=(
                ReportedAttack(name="static", view="static-adversarial", attack=PGD(steps=5)),
                RouterBehaviour(attack=PGD(steps=9)),
            ),
        ),
    ),
)


class Paired(nn.Module):
    """The linear model with dummies that take over where it is unsure, and decide as it does."""

    def __init__(self, linear: nn.Module) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.maximum(*self.raw(inputs).chunk(2, dim=1))

    def raw(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.linear(inputs)
        return torch.cat((logits, 0.4 + 0.2 * logits), dim=1)


class Switched(nn.Module):
    """The linear model, its logits scaled by a signal, on a route that reads the mean of the input."""

    def __init__(self, linear: nn.Module) -> None:
        super().__init__()
        self.linear = linear
        self.bias = nn.Parameter(torch.tensor(0.5))

    def forward(self, inputs: Tensor) -> Tensor:
        return self.routed(inputs, self.route(inputs))

    def route(self, inputs: Tensor) -> Route:
        share = torch.sigmoid(20 * (inputs.flatten(1).mean(1, keepdim=True) - self.bias))
        return Route((1 + share,), torch.cat((share, 1 - share), dim=1))

    def routed(self, inputs: Tensor, route: Route) -> Tensor:
        assert isinstance(route.mix, Tensor)
        logits = self.linear(inputs) * route.signals[0]
        return logits * route.mix[:, :1] + (logits + torch.tensor([0.3, 0.0])) * route.mix[:, 1:]


@pytest.fixture
def paired(linear: nn.Module) -> nn.Module:
    return Paired(linear).eval()


@pytest.fixture
def switched(linear: nn.Module) -> nn.Module:
    return Switched(linear).eval()


def test_a_plain_model_has_its_standard_verdicts_and_computes_nothing_new(
    tmp_path: Path, linear: nn.Module, examples: Examples, threat_model: ThreatModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the plain suite the adaptive one only reads its journal, and says the same."""
    plain = evaluate(linear, examples, threat_model=threat_model, suite=PLAIN, journal=tmp_path / "journal")

    def refuse(*_: object) -> Any:
        raise AssertionError("nothing is left to compute")

    monkeypatch.setattr("bench.evaluation.execution.computing.Computer.compute", refuse)
    adaptive = evaluate(linear, examples, threat_model=threat_model, suite=ADAPTIVE, journal=tmp_path / "journal")
    assert adaptive == plain and result_of(adaptive) == result_of(plain)


def test_a_measurement_that_fails_costs_no_verdict(
    paired: nn.Module, examples: Examples, threat_model: ThreatModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is beside the verdicts, and so is the reason why it is not there."""

    def fail(*_: object, **__: object) -> Any:
        raise RuntimeError("no such layer")

    whole = evaluate(paired, examples, threat_model=threat_model, suite=ADAPTIVE)
    monkeypatch.setattr("bench.evaluation.adaptive.shares", fail)
    found = evaluate(paired, examples, threat_model=threat_model, suite=ADAPTIVE)
    assert found.not_run == {"dummy-share": "RuntimeError: no such layer"} and whole.not_run == {}
    assert found.robust == whole.robust and found.reported == whole.reported[:-1]


def test_both_suites_find_the_same_default_journal(
    linear: nn.Module, examples: Examples, threat_model: ThreatModel
) -> None:
    """The header of an adaptive run is that of the suite it extends."""
    plain, adaptive = (
        make_plan(linear, examples, threat_model=threat_model, suite=suite, journal=default_journal)
        for suite in (PLAIN, ADAPTIVE)
    )
    assert plain.journal == adaptive.journal is not None


def test_dummy_classes_bring_their_attacks_and_reports(
    tmp_path: Path, paired: nn.Module, examples: Examples, threat_model: ThreatModel
) -> None:
    """The stages make a column that counts; reports stand beside it and do not, and every part resumes."""
    usual = {"threat_model": threat_model, "suite": ADAPTIVE}
    found = evaluate(paired, examples, **usual, journal=tmp_path / "journal")
    assert [attack.name for attack in found.attacks] == ["fgsm", "pgd-20", "adaptive-pairs"]
    column = found.attacks[-1]
    assert [stage.name for stage in column.stages] == ["joint", "joint-9"]
    assert column.forwards > 0 < column.backwards
    assert found.n_robust == sum(map(all, zip(*(attack.robust for attack in found.attacks), strict=True)))
    result = result_of(found)
    assert [each.name for each in result.reported] == ["naive", "raw", "dummy-share"]
    assert result.reported[0].n_robust is not None and result.reported[0].n_robust >= found.n_robust
    assert set(result.reported[2].statistics) == {"clean", "noise", "adversarial"}
    again = evaluate(paired, examples, **usual, journal=tmp_path / "journal")
    assert result_of(again) == result and again.attacks == found.attacks
    assert result_of(evaluate(paired, examples, **usual)) == result


def test_the_raw_view_is_judged_by_raw_logits(paired: nn.Module, examples: Examples, threat_model: ThreatModel) -> None:
    """An example that a dummy takes is wrong there, clean or not; the model itself calls it right."""
    result = result_of(evaluate(paired, examples, threat_model=threat_model, suite=ADAPTIVE))
    raw = result.reported[1]
    taken = paired.raw(examples.inputs).argmax(1) != examples.labels
    assert raw.robust is not None and raw.n_robust is not None
    robust = torch.tensor(unpack_verdicts(raw.robust, len(examples)))
    assert not (robust & taken).any()
    assert raw.n_robust < result.n_robust
    assert raw.statistics["clean_accuracy"] == pytest.approx(1 - float(taken.float().mean()))


def test_a_router_brings_its_attacks_and_reports(
    switched: nn.Module, examples: Examples, threat_model: ThreatModel
) -> None:
    """A frozen-route column, the static network's verdicts, and what the router follows, which is the mean here."""
    found = evaluate(switched, examples, threat_model=threat_model, suite=ADAPTIVE)
    assert [attack.name for attack in found.attacks] == ["fgsm", "pgd-20", "frozen"]
    static, router = found.reported
    logits = switched.linear(examples.inputs) + torch.tensor([0.3, 0.0])  # type: ignore[operator]
    assert static.statistics["clean_accuracy"] == pytest.approx(
        float((logits.argmax(1) == examples.labels).float().mean())
    )
    means = examples.inputs.flatten(1).mean(1)
    assert router.statistics["clean_called_clean"] == pytest.approx(float((means > 0.5).float().mean()))
    reach = (means - 0.5).abs() < float(threat_model.epsilon)
    assert router.statistics["flipped_by_steering"] == pytest.approx(float(reach.float().mean()), abs=0.02)
    assert router.statistics["with_gradient"] == 1


def test_the_order_of_examples_is_kept(paired: nn.Module, examples: Examples, threat_model: ThreatModel) -> None:
    """Handed over backwards, every verdict comes back with its example, in reports too."""
    there = evaluate(paired, examples, threat_model=threat_model, suite=ADAPTIVE)
    backwards = evaluate(paired, examples[torch.arange(199, -1, -1)], threat_model=threat_model, suite=ADAPTIVE)
    assert backwards.robust == there.robust[::-1]
    for one, other in zip(there.reported[:2], backwards.reported[:2], strict=True):
        assert one.robust is not None and other.robust is not None
        assert unpack_verdicts(other.robust, 200) == unpack_verdicts(one.robust, 200)[::-1]


class SumOfPairs(Paired):
    """Recovers the sum of the pair's probabilities, not the larger."""

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.logaddexp(*self.raw(inputs).chunk(2, dim=1))


class HalfRaw(Paired):
    """Its raw logits are no pairs."""

    def raw(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.linear(inputs)
        return logits

    def forward(self, inputs: Tensor) -> Tensor:
        return self.raw(inputs)


class OtherRoute(Switched):
    """Its answer is not that of its own route."""

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs) + torch.tensor([1.0, 0.0])


class Hard(Switched):
    """Routes without weights."""

    def route(self, inputs: Tensor) -> Route:
        return Route((torch.ones(len(inputs), 1),), 0)

    def routed(self, inputs: Tensor, route: Route) -> Tensor:
        logits: Tensor = self.linear(inputs)
        return logits


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (SumOfPairs, "larger of `raw`'s c and c"),
        (HalfRaw, r"`raw` of the model to return logits \(64, 4\), but got \(64, 2\)"),
        (OtherRoute, "`routed` under the model's own `route`"),
        (Hard, "weights .N, 2. that sum to 1"),
        (lambda linear: nn.Sequential(Paired(linear)), "Part '0' of the model has dummy classes"),
    ],
)
def test_a_declaration_that_is_not_true_is_refused(
    linear: nn.Module, examples: Examples, threat_model: ThreatModel, wrap: Any, message: str
) -> None:
    """Attacks that rely on a wrong declaration would prove nothing: one line says what does not fit; others may run."""
    module = wrap(linear).eval()
    with pytest.raises(BenchError, match=message) as caught:
        evaluate(module, examples, threat_model=threat_model, suite=ADAPTIVE)
    assert "\n" not in str(caught.value)
    assert evaluate(module, examples, threat_model=threat_model, suite=PLAIN).n_examples == 200


def test_a_model_is_handed_back_as_it_was(switched: nn.Module, examples: Examples, threat_model: ThreatModel) -> None:
    """Mode, gradients and random state, after attacks, reports and measurements."""
    switched.train()
    switched.linear.weight.grad = torch.ones(16)  # type: ignore[union-attr]
    before = torch.get_rng_state()
    evaluate(switched, examples, threat_model=threat_model, suite=ADAPTIVE)
    assert switched.training and all(parameter.requires_grad for parameter in switched.parameters())
    assert torch.equal(switched.linear.weight.grad, torch.ones(16))  # type: ignore[union-attr, arg-type]
    assert torch.equal(torch.get_rng_state(), before)


def test_passes_through_a_structure_are_counted(paired: nn.Module, switched: nn.Module, examples: Examples) -> None:
    """Raw logits and logits under a route are passes, with their gradients; a look at the router is none."""
    inputs = examples.inputs[:5].clone().requires_grad_()
    counted = CountingClassifier(paired)
    counted.raw(inputs).sum().backward()
    assert counted.passes == (5, 5)
    counted = CountingClassifier(switched)
    with torch.no_grad():
        route = counted.route(inputs)
        assert counted.passes == (0, 0)
        counted.routed(inputs, route)
    assert counted.passes == (5, 0)
