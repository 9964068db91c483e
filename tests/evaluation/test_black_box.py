"""Models that answer and give no gradient, through `blackbox-v1`: whoever they are, within the budget of queries."""

from __future__ import annotations

import dataclasses
import warnings

import pytest
import torch
from torch import nn

from bench import suites
from bench.attacks import CW, PGD
from bench.core.errors import BenchError, UnknownNameError
from bench.core.types import Examples, ThreatModel
from bench.evaluation import evaluate, result_of
from bench.evaluation.plan import make_plan

THREAT_MODEL = "Linf:0.1"


class Answers(nn.Module):
    """What another network says, cut off from its gradient in one way or another."""

    def __init__(self, net, how):
        super().__init__()
        self.net, self.how = net, how

    def forward(self, inputs):
        return self.how(self.net, inputs)


def in_numpy(net, inputs):
    return torch.from_numpy(net(torch.from_numpy(inputs.detach().numpy())).numpy().copy())


def scripted(net):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.freeze(torch.jit.script(net).eval())


def few(queries: int, **options) -> suites.AttackSuite:
    """The suite with a budget, and short attacks on the surrogates."""
    suite = suites.get("blackbox-v1", queries=queries, **options)
    transfer, square = suite.attacks
    quick = dataclasses.replace(transfer, attacks=(PGD(steps=5), CW(steps=5)))
    return dataclasses.replace(suite, attacks=(quick, square))


@pytest.fixture
def linear():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).eval()


@pytest.mark.parametrize(
    "kind",
    [
        lambda net: Answers(net, torch.no_grad()(lambda inner, inputs: inner(inputs))),
        lambda net: Answers(net, torch.inference_mode()(lambda inner, inputs: inner(inputs))),
        lambda net: Answers(net, in_numpy),
        scripted,
    ],
    ids=["no_grad", "inference_mode", "numpy", "frozen script"],
)
def test_a_model_without_gradient_has_the_verdicts_of_the_plain_one(net, linear, digits, kind):
    """Nothing but answers is asked for, so that nothing else makes a difference."""
    plain, found = (
        evaluate(each, digits, threat_model=THREAT_MODEL, suite=few(60), surrogates={"net": net, "linear": linear})
        for each in (net, kind(net))
    )
    assert found.robust == plain.robust
    assert 0 < sum(plain.robust) < sum(plain.clean)
    assert [attack.backwards for attack in found.attacks] == [0, 0]


@pytest.mark.filterwarnings("ignore")
def test_a_quantised_model_is_told_of_the_suite_that_takes_it(net, linear, digits):
    """Others refuse it in one line that names this one."""
    quantised = torch.ao.quantization.quantize_dynamic(net, {nn.Linear}, dtype=torch.qint8)
    with pytest.raises(BenchError, match=r"quantised.*--suite blackbox-v1"):
        evaluate(quantised, digits, threat_model=THREAT_MODEL, suite="quick-v1")
    found = evaluate(quantised, digits, threat_model=THREAT_MODEL, suite=few(40), surrogates={"linear": linear})
    assert 0 < sum(found.robust) < sum(found.clean)


@pytest.mark.parametrize("engine", ["fast", "reference"])
@pytest.mark.parametrize("queries", [10, 47])
@pytest.mark.parametrize("threat_model", ["Linf:0.1", "L2:0.5"])
def test_no_example_costs_more_queries_than_the_budget(net, linear, digits, engine, queries, threat_model):
    """A model that nothing breaks is asked to the last but three: the start and the results of Square are queries."""

    class Stubborn(nn.Module):
        def __init__(self):
            super().__init__()
            self.asked = 0

        def forward(self, inputs):
            self.asked += len(inputs)
            return (
                torch.tensor([[9.0, 1.0, 0.5]]).expand(len(inputs), 3).clone() + 1e-3 * inputs.mean((1, 2, 3))[:, None]
            )

    examples = Examples(
        inputs=digits.inputs[:20], labels=torch.zeros(20, dtype=torch.int64), indices=digits.indices[:20]
    )
    three = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).eval()
    found = evaluate(
        Stubborn(),
        examples,
        threat_model=threat_model,
        suite=few(queries, engine=engine),
        surrogates={"first": three, "second": nn.Sequential(three)},
    )
    assert all(found.robust)
    forwards = sum(attack.forwards for attack in found.attacks)
    assert (queries - 3) * 20 <= forwards <= queries * 20
    assert sum(attack.backwards for attack in found.attacks) == 0


def test_a_broken_example_costs_no_more_than_it_took(net, linear, digits):
    """Fewer queries are asked where something breaks, and a larger budget breaks no less."""
    runs = [
        evaluate(net, digits, threat_model=THREAT_MODEL, suite=few(each), surrogates={"linear": linear})
        for each in (20, 120)
    ]
    for run, queries in zip(runs, (20, 120), strict=True):
        assert sum(attack.forwards for attack in run.attacks) < queries * sum(run.clean)
    assert not any(later and not earlier for earlier, later in zip(runs[0].robust, runs[1].robust, strict=True))
    assert sum(runs[1].robust) < sum(runs[0].robust)


def test_a_budget_is_another_suite(refused):
    """Of another name and digest, so that no table mixes the two; the usual one is the suite itself."""
    usual, small = suites.get("blackbox-v1"), suites.get("blackbox-v1", queries=1000)
    assert suites.get("blackbox", queries=5000) == usual
    assert small.label == "blackbox-1000-v1" and small.digest != usual.digest
    assert suites.get("blackbox-1000-v1") == small
    assert sum((usual.attacks[0].most_trials, usual.attacks[1].queries)) + 3 == usual.queries == 5000
    refused(lambda: suites.get("blackbox-v1", queries=0), "at least 10 queries", "got 0")
    refused(lambda: suites.get("blackbox-9-v1"), "at least 10 queries", "got 9")
    refused(lambda: suites.get("quick-v1", queries=50), "quick-v1 has no budget", "--suite blackbox-v1")
    with pytest.raises(UnknownNameError, match="blackbox-v1"):
        suites.get("blackbox-many-v1")


def test_surrogates_that_do_not_do_are_one_line(net, linear, digits, refused):
    """None, too many, for a suite that has no use for them, and one through which nothing can be crafted."""

    def run(suite="blackbox-v1", **surrogates):
        evaluate(net, digits[:4], threat_model=THREAT_MODEL, suite=suite, surrogates=surrogates)

    refused(run, "1 to 2 surrogates for blackbox-v1", "none", "--surrogate MODEL")
    refused(lambda: run(a=net, b=net, c=net), "but got 3")
    refused(lambda: run("quick-v1", a=net), "quick-v1 transfers from no other model")
    refused(lambda: run(cut=Answers(net, in_numpy)), "Surrogate 'cut' gives no gradient")


def test_a_journal_knows_its_surrogates(net, linear, digits, tmp_path, refused):
    """The same run goes on where it stopped, to the bit; one with another surrogate is another run."""

    def run(**surrogates):
        return result_of(
            evaluate(
                net,
                digits[:20],
                threat_model=THREAT_MODEL,
                suite=few(20),
                surrogates=surrogates,
                journal=tmp_path / "j",
            )
        )

    first = run(linear=linear)
    next((tmp_path / "j" / "square").glob("*.json")).unlink()
    assert run(linear=linear) == first
    refused(lambda: run(net=net), "made for another run", "surrogates")


def test_surrogates_are_handed_back_as_they_were(net, linear, digits):
    """Mode and gradients of theirs are no matter of the run."""
    linear.train()
    plan = make_plan(
        net,
        digits[:8],
        threat_model=ThreatModel.parse(THREAT_MODEL),
        suite=few(20),
        surrogates={"linear": linear},
    )
    with plan.model():
        assert not linear.training
        assert not any(each.requires_grad for each in linear.parameters())
    assert linear.training
    assert all(each.requires_grad for each in linear.parameters())
