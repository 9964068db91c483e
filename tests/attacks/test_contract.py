"""What every registered attack promises; a new attack arrives here by itself."""

from __future__ import annotations

import copy
import dataclasses
import json
from fractions import Fraction

import pytest
import torch
from torch import nn

from bench import attacks
from bench.core.structure import Route
from bench.core.types import Attack, Norm, ThreatModel
from bench.evaluation.counting import CountingClassifier
from bench.ops import norms

THREAT = {norm: ThreatModel.parse(text) for norm, text in zip(Norm, ("Linf:1/20", "L2:0.2", "L1:1"), strict=True)}
CASES = [(name, norm) for name in attacks.names() for norm in sorted(attacks.get(name).norms)]
KEYED = ["constraint-relaxation", "fgsm", "pgd-20", "pgd-100", "cw"]


class Structured(nn.Module):
    """A net that declares dummy classes and routes too, so that every attack has what it asks for."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, inputs):
        return self.net(inputs)

    def raw(self, inputs):
        logits = self.net(inputs)
        return torch.cat((logits, logits - 1), dim=1)

    def route(self, inputs):
        share = inputs.flatten(1).mean(dim=1)
        return Route((torch.ones(len(inputs), 1, device=inputs.device),), torch.stack((share, 1 - share), dim=1))

    def routed(self, inputs, route):
        return self.net(inputs) * route.mix.sum(dim=1, keepdim=True)


@pytest.fixture(scope="module")
def network(network):
    return Structured(network).eval()


def short(name):
    """The attack with few queries, so that it takes no time."""
    return shortened(attacks.get(name))


def shortened(attack):
    if attack.stages != (attack,):
        return dataclasses.replace(attack, stages=tuple(map(shortened, attack.stages)))
    few = {"queries": 50, "binary_search_steps": 3, "steps": 20, "targets": 9, "weights": (Fraction(1),)}
    return dataclasses.replace(attack, **{key: value for key, value in few.items() if hasattr(attack, key)})


@pytest.mark.parametrize("name", attacks.names())
def test_an_attack_is_an_attack(name):
    """It has the protocol's members, is frozen, and its parameters are JSON."""
    attack = attacks.get(name)
    assert isinstance(attack, Attack)
    assert attack.name == name
    assert json.loads(json.dumps(attacks.parameters(attack)))["name"] == name
    assert "engine" not in attacks.parameters(attack)
    with pytest.raises(dataclasses.FrozenInstanceError):
        attack.name = "other"


def on_own_engine(attack):
    """With three targets, and our own engine where there is a choice."""
    if attack.stages != (attack,):
        return dataclasses.replace(attack, stages=tuple(map(on_own_engine, attack.stages)))
    wanted = {"targets": 3, "engine": "fast"}
    fields = {field.name for field in dataclasses.fields(attack)}
    return dataclasses.replace(attack, **{name: value for name, value in wanted.items() if name in fields})


@pytest.mark.parametrize("name", attacks.names())
def test_an_attack_takes_about_as_many_passes_as_it_says(network, examples_of, name):
    """On examples that withstand it; plans are made from it before anything is measured."""
    attack, examples = on_own_engine(short(name)), examples_of(network, count=3)
    counted = CountingClassifier(network)
    attack.perturb(counted, examples, ThreatModel(norm=min(attack.norms), epsilon=Fraction(1, 10_000)), seed=0)
    assert 1 / 3 <= sum(counted.passes) / len(examples) / attack.n_passes <= 3 / 2


@pytest.mark.parametrize(("name", "norm"), CASES)
def test_a_candidate_is_returned_for_every_example(network, examples_of, name, norm):
    """The result has the shape, type and range of the inputs, lies in the ball, and breaks something."""
    examples = examples_of(network, 16)
    moved = short(name).perturb(network, examples, THREAT[norm], seed=0)
    assert moved.shape == examples.inputs.shape
    assert moved.dtype == torch.float32
    assert not moved.requires_grad
    assert moved.min() >= 0
    assert moved.max() <= 1
    assert (network(moved).argmax(1) != examples.labels).any()
    if name not in ("carlini-wagner-l2", "fab-t"):  # minimum-norm searches may end outside
        assert (norms.size(moved - examples.inputs, norm) <= float(THREAT[norm].epsilon) * (1 + 1e-5)).all()


@pytest.mark.parametrize("name", attacks.names())
def test_nothing_to_attack_is_no_error(network, examples_of, name):
    """An empty batch comes back unchanged."""
    examples = examples_of(network)[:0]
    norm = min(attacks.get(name).norms)
    assert short(name).perturb(network, examples, THREAT[norm], seed=0).shape == examples.inputs.shape


@pytest.mark.parametrize("name", attacks.names())
def test_an_attack_leaves_everything_as_it_was(network, examples_of, name):
    """Neither the model, nor its gradients, nor the examples, nor the random state are changed."""
    examples, norm = examples_of(network, 8), min(attacks.get(name).norms)
    before, inputs = torch.get_rng_state(), examples.inputs.clone()
    weights = [parameter.clone() for parameter in network.parameters()]
    short(name).perturb(network, examples, THREAT[norm], seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(examples.inputs, inputs)
    for parameter, weight in zip(network.parameters(), weights, strict=True):
        assert torch.equal(parameter, weight)
        assert parameter.grad is None


@pytest.mark.parametrize("name", attacks.names())
def test_parameters_that_want_gradients_get_none(network, examples_of, name):
    """An attack on a model that was not frozen leaves its parameters without a gradient."""
    model, norm = copy.deepcopy(network).requires_grad_(True), min(attacks.get(name).norms)
    moved = short(name).perturb(model, examples_of(network, 8), THREAT[norm], seed=0)
    assert not moved.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.gpu
@pytest.mark.parametrize(("name", "norm"), CASES)
def test_an_attack_runs_on_a_gpu(network, examples_of, name, norm):
    """On CUDA the result stays there and breaks about as many examples as on the CPU."""
    examples, attack = examples_of(network), short(name)
    model = copy.deepcopy(network).cuda()
    there = attack.perturb(model, examples.to("cuda"), THREAT[norm], seed=0)
    assert there.is_cuda
    here = attack.perturb(network, examples, THREAT[norm], seed=0)
    broken = [(network(moved.cpu()).argmax(1) != examples.labels).sum() for moved in (here, there)]
    assert abs(broken[0] - broken[1]) <= 4


@pytest.mark.parametrize("norm", list(Norm))
@pytest.mark.parametrize("name", KEYED)
def test_verdicts_do_not_depend_on_the_batch(network, examples_of, name, norm):
    """Alone, in sevens, shuffled or all together: an example gets the same verdict and the same point."""
    examples = examples_of(network)
    attack = attacks.get(name)
    together = attack.perturb(network, examples, THREAT[norm], seed=0)
    for size in (1, 7, 64):
        parts = [attack.perturb(network, part, THREAT[norm], seed=0) for part in examples.split(size)]
        assert torch.equal(network(torch.cat(parts)).argmax(1), network(together).argmax(1))
    order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(0))
    shuffled = attack.perturb(network, examples[order], THREAT[norm], seed=0)
    torch.testing.assert_close(shuffled, together[order], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["pgd-20", "cw", "apgd-ce", "square"])
def test_the_seed_matters(network, examples_of, name):
    """Another seed starts elsewhere; the same seed gives the same points."""
    examples = examples_of(network, 8)
    first, again, other = (short(name).perturb(network, examples, THREAT[Norm.LINF], seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
