"""Models of every kind that people bring: the number of the plain model, or one line that says why there is none."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional

from bench.attacks.autoattack import ApgdCe, Square
from bench.attacks.fgsm import FGSM
from bench.attacks.pgd import PGD
from bench.core.errors import BenchError
from bench.core.types import ThreatModel
from bench.evaluation import evaluate
from bench.models.adapting import adapted

THREAT_MODEL = ThreatModel.parse("Linf:0.05")


class Net(nn.Module):
    """A small convolutional network with a batch norm, on 1 x 4 x 4 inputs."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv, self.norm = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)
            self.linear = nn.Linear(8 * 16, 2)
        self.eval()

    def forward(self, inputs):
        return self.linear(torch.relu(self.norm(self.conv(inputs))).flatten(1))


class Within(nn.Module):
    """Something done to the input of the network."""

    def __init__(self, before, net=None):
        super().__init__()
        self.before, self.net = before, net if net is not None else Net()

    def forward(self, inputs):
        return self.net(self.before(inputs))


class Switched(nn.Module):
    """The network under a context of its own."""

    def __init__(self, context):
        super().__init__()
        self.context, self.net = context, Net()

    def forward(self, inputs):
        with self.context():
            return self.net(inputs)


class Purified(nn.Module):
    """One step down its own loss before it answers, with gradients that it switches on, or leaves to its caller."""

    def __init__(self, switched):
        super().__init__()
        self.net, self.switched = Net(), switched

    def forward(self, inputs):
        with torch.set_grad_enabled(self.switched or torch.is_grad_enabled()):
            leaf = inputs.detach().clone().requires_grad_()
            logits = self.net(leaf)
            (slope,) = torch.autograd.grad(functional.cross_entropy(logits, logits.argmax(1)), leaf)
        return self.net(inputs - 0.02 * slope.sign())


def in_place(inputs):
    inputs -= 0.1
    return inputs + 0.1


def scripted():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(Net())


def frozen():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.freeze(scripted().eval())


def traced():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(Net(), torch.rand(4, 1, 4, 4))


def exported():
    batch = {0: torch.export.Dim("batch")}
    return torch.export.export(Net(), (torch.rand(4, 1, 4, 4),), dynamic_shapes=(batch,)).module()


def found(module, examples, *attacks, make, **options):
    suite = make["suite"](*(attacks or (FGSM(), PGD(verdict_only=True), ApgdCe(engine="fast", steps=5))))
    return evaluate(module, examples[:40], threat_model=THREAT_MODEL, suite=suite, precision="float32", **options)


@pytest.mark.parametrize(
    "kind",
    [
        lambda: Net().double(),
        lambda: Within(torch.Tensor.double, Net().double()),
        lambda: Within(in_place),
        lambda: Within(lambda x: x.mul_(2).div_(2)),
        scripted,
        frozen,
        traced,
        exported,
        lambda: nn.DataParallel(Net()),
        lambda: Switched(torch.enable_grad),
    ],
    ids=[
        "float64",
        "casts",
        "in place",
        "in place twice",
        "script",
        "frozen script",
        "trace",
        "export",
        "parallel",
        "switched on",
    ],
)
@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_the_number_is_that_of_the_plain_network(examples, make, kind, engine):
    """However the network is wrapped or kept, its verdicts are the same, and it is handed back as it was."""
    attacks = (FGSM(), PGD(), ApgdCe(engine=engine, steps=5))
    module = kind()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    inputs = examples.inputs.clone()
    expected, got = (found(each, examples, *attacks, make=make) for each in (Net(), module))
    assert got.robust == expected.robust
    assert 0 < sum(got.robust) < sum(got.clean)
    assert torch.equal(examples.inputs, inputs)
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())


@pytest.mark.parametrize("switched", [True, False])
def test_a_model_that_takes_gradients_inside_is_evaluated_as_it_is(examples, make, switched):
    """Its form is itself: the fast engine finds what the attack finds on the model, and not what it finds elsewhere."""
    model, few = Purified(switched), examples[:40]
    fast = found(model, examples, FGSM(), ApgdCe(engine="fast", steps=5), make=make)
    model.requires_grad_(False)
    points = FGSM().perturb(adapted(model, few.inputs), few, THREAT_MODEL, seed=0)
    with torch.enable_grad():
        clean, attacked = (model(each).argmax(1) == few.labels for each in (few.inputs, points))
    assert fast.clean == tuple(clean.tolist())
    assert fast.attacks[0].robust == tuple((clean & attacked).tolist())
    plain = found(Net(), examples, FGSM(), make=make)
    assert fast.attacks[0].margin != plain.attacks[0].margin


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (lambda: Switched(torch.no_grad), "no gradient at its input .*no_grad.* such as fgsm"),
        (lambda: Switched(torch.inference_mode), "no gradient at its input"),
        (lambda: Within(torch.Tensor.detach), "no gradient at its input"),
        (lambda: Within(lambda x: torch.from_numpy(x.detach().numpy().round(3))), "no gradient at its input"),
        (lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(2)), "'1.weight' .* no values yet .*lazy"),
        (lambda: Net().to("meta"), "'conv.weight' .* no values yet .*meta"),
        (torch.inference_mode()(lambda: Net()), "'conv.weight' .* made under torch.inference_mode"),
    ],
    ids=["no_grad", "inference_mode", "detach", "numpy", "lazy", "meta", "built in inference_mode"],
)
def test_what_cannot_be_attacked_is_one_line(examples, make, kind, message):
    """The cause by name, before any attack runs."""
    with pytest.raises(BenchError, match=message) as caught:
        found(kind(), examples, make=make)
    assert "\n" not in str(caught.value)


def test_a_model_that_fails_is_no_fault_of_bench(examples, make):
    """Also where it answered smaller batches before: one line with its error, before any attack runs."""

    def at_most_32(inputs):
        if len(inputs) > 32:
            raise ValueError("a batch of 40\nis too large")
        return inputs

    with pytest.raises(BenchError, match=r"fails on images of shape \(40, .*: ValueError: a batch of 40$"):
        found(Within(at_most_32), examples, make=make)


def test_an_attack_that_needs_no_gradient_runs_without_one(examples, make):
    """Square alone evaluates a model that gives none."""
    square = Square(engine="fast", queries=20)
    cut_off, plain = (found(each, examples, square, make=make) for each in (Switched(torch.no_grad), Net()))
    assert cut_off.robust == plain.robust


@pytest.mark.filterwarnings("ignore")
def test_a_quantised_model_is_named_as_one(examples, make):
    """Quantised layers have no gradient, or one that is silently wrong."""
    module = torch.ao.quantization.quantize_dynamic(Net(), {nn.Linear}, dtype=torch.qint8)
    with pytest.raises(BenchError, match="quantised"):
        found(module, examples, make=make)


def test_what_raises_when_it_is_to_be_differentiated_is_named(examples, make):
    """The model's own words are in the line."""

    def refuse(inputs):
        if inputs.requires_grad:
            raise ValueError("boom")
        return inputs

    with pytest.raises(BenchError, match="ValueError: boom"):
        found(Within(refuse), examples, make=make)
