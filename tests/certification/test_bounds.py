from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench import data, models
from bench.certification import Bounded, Box, Certifier
from bench.core.errors import BenchError
from bench.core.types import ThreatModel


class Block(nn.Module):
    """What residual networks are made of: convolutions with batch norm around a shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 6, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 6, 3, 1, 1)
        self.bn2 = nn.BatchNorm2d(6)
        self.shortcut = nn.Conv2d(2, 6, 1, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = functional.relu(self.bn1(self.conv1((inputs - 0.4) / 0.3)))
        out = self.bn2(self.conv2(hidden))
        out += self.shortcut(inputs)
        return torch.relu(out)


def small_network(seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(
            Block(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(6, 8), nn.ReLU(inplace=True), nn.Linear(8, 3)
        )
        with torch.no_grad():
            network.train()(torch.rand(64, 2, 4, 4))  # statistics that are not the defaults
        for each in network.modules():
            if isinstance(each, nn.BatchNorm2d):
                nn.init.normal_(each.weight)
    return network.eval()


def margins(network: nn.Module, points: Tensor, label: int) -> Tensor:
    logits = network(points)
    others = logits.clone()
    others[:, label] = -torch.inf
    return logits[:, label] - others.amax(1)


def nearby(inputs: Tensor, threat_model: ThreatModel, count: int, seed: int) -> Tensor:
    """Points that the threat model allows, half of them as far out as it goes."""
    generator = torch.Generator().manual_seed(seed)
    moves = torch.randn(count, *inputs.shape[1:], generator=generator)
    epsilon = float(threat_model.epsilon)
    if threat_model.norm.value == "Linf":
        moves = epsilon * moves.sign()
    else:
        moves = epsilon * moves / moves.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    moves[: count // 2] *= torch.rand(count // 2, 1, 1, 1, generator=generator)
    return (inputs + moves).clamp(0, 1)


@pytest.mark.parametrize("text", ["Linf:0.02", "L2:0.1"])
def test_a_linear_classifier_is_certified_exactly(text: str) -> None:
    """The bound of a linear classifier is its smallest margin, which the dual norm gives."""
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(4, 12, generator=generator)
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 4))
    network[1].weight.data, network[1].bias.data = weight, torch.zeros(4)
    threat_model = ThreatModel.parse(text)
    certifier = Certifier(network, threat_model)
    inputs = 0.5 + 0.1 * torch.rand(8, 3, 2, 2, generator=generator)  # the box is out of reach
    verdicts = set()
    for each in inputs:
        logits = network(each[None])[0]
        label = int(logits.argmax())
        apart = weight[label] - weight[[k for k in range(4) if k != label]]
        dual = apart.abs().sum(1) if threat_model.norm.value == "Linf" else apart.norm(dim=1)
        exact = (apart @ each.flatten() - float(threat_model.epsilon) * dual).min().item()
        found = certifier.margin(each[None], label).least
        assert found <= exact
        assert found == pytest.approx(exact, abs=3e-4 * logits.abs().max().item())
        verdicts.add(found > 0)
    assert verdicts == {True, False}


@pytest.mark.parametrize("text", ["Linf:0.01", "Linf:0.05", "L2:0.1"])
@pytest.mark.parametrize("seed", [0, 1])
def test_no_allowed_point_lies_below_the_bound(text: str, seed: int) -> None:
    """On a network with every kind of operation, the corners of the ball included."""
    network, threat_model = small_network(seed), ThreatModel.parse(text)
    certifier = Certifier(network, threat_model)
    inputs = torch.rand(6, 2, 4, 4, generator=torch.Generator().manual_seed(seed))
    for each in inputs:
        label = int(network(each[None]).argmax())
        points = nearby(each[None], threat_model, 500, seed)
        with torch.no_grad():
            reached = margins(network, points, label).min().item()
        assert certifier.margin(each[None], label).least <= reached


def test_crown_proves_more_than_intervals_and_less_than_all() -> None:
    """Some examples need CROWN, some are proved by intervals, and some margins can be proved by neither."""
    network = small_network(0)
    inputs = torch.rand(40, 2, 4, 4, generator=torch.Generator().manual_seed(3))
    certifiers = [Certifier(network, ThreatModel.parse(text)) for text in ("Linf:0.02", "Linf:0.05", "Linf:0.2")]
    found = [each.margin(one[None], int(network(one[None]).argmax())) for one in inputs for each in certifiers]
    proved = [each.by for each in found if each.least > 0]
    assert {"intervals", "CROWN"} == set(proved)
    assert len(proved) < len(found)


def test_intervals_pass_gradients_to_the_weights() -> None:
    """What training on bounds needs."""
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3))
    inputs = torch.rand(5, 1, 4, 4)
    box = Bounded(network).intervals(Box(inputs, torch.full_like(inputs, 0.1)))
    box.radius.sum().backward()
    assert all(each.grad is not None for each in (network[0].weight, network[3].weight))


def test_a_residual_network_of_the_zoo_is_bounded() -> None:
    """A ResNet-18 with its batch norms: an epsilon that is small enough is proved, one of 1/10 is not."""
    digits = data.load("digits")
    model = models.load("pgd-at", dataset=digits)
    image, label = digits.examples.inputs[:1], int(digits.examples.labels[0])
    small, large = (
        Certifier(model.module, ThreatModel.parse(text)).margin(image, label) for text in ("Linf:1/10000", "Linf:1/10")
    )
    assert small.least > 0 > large.least


class Gated(nn.Module):
    """A product of two things that depend on the input."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.linear(inputs.flatten(1))
        return hidden * hidden


class Twice(Gated):
    """A value that two things use, and that neither changes."""

    def forward(self, inputs: Tensor) -> Tensor:
        return self.linear(inputs.flatten(1)) + self.linear(inputs.flatten(1))


def test_what_two_use_is_bounded() -> None:
    """Flattening from dimension 1 on is no call with `inplace=True`."""
    network = Twice().eval()
    inputs = torch.rand(1, 1, 2, 2)
    label = int(network(inputs).argmax())
    assert Certifier(network, ThreatModel.parse("Linf:1/100000")).margin(inputs, label).least > 0


class Deciding(Gated):
    """Other operations for other inputs."""

    def forward(self, inputs: Tensor) -> Tensor:
        return self.linear(inputs.flatten(1)) if inputs.sum() > 0 else inputs


class Reused(Gated):
    """A value that is changed in place, and used after."""

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.linear(inputs.flatten(1))
        return torch.relu_(hidden) + hidden


@pytest.mark.parametrize(
    ("network", "named"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.GELU()), "GELU 2"),
        (nn.Sequential(nn.MaxPool2d(1), nn.Flatten(), nn.Linear(4, 4)), "MaxPool2d 0"),
        (nn.Sequential(nn.BatchNorm2d(1, track_running_stats=False), nn.Flatten()), "BatchNorm2d 0"),
        (Gated(), "mul"),
        (Reused(), "relu_"),
        (Deciding(), "no fixed list of operations"),
    ],
)
def test_what_cannot_be_bounded_is_named(network: nn.Module, named: str) -> None:
    """In one line, with what can be."""
    with pytest.raises(BenchError, match=f"Cannot bound model 'own'.*{named}.*Known: convolutions") as caught:
        Certifier(network, ThreatModel.parse("Linf:0.1"), name="model 'own'")
    assert "\n" not in str(caught.value)


def test_a_network_that_is_more_than_its_operations_is_refused() -> None:
    """A hook changes the answers, and is no part of the graph."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3)).eval()
    network[1].register_forward_hook(lambda module, inputs, output: output + torch.tensor([9.0, 0.0, 0.0]))
    with pytest.raises(BenchError, match="answers otherwise"):
        Certifier(network, ThreatModel.parse("Linf:0.1")).margin(torch.rand(1, 1, 2, 2), 0)


class Squeezed(nn.Module):
    """Logits without the dimension of the only image."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(32, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.linear(inputs.flatten(1)).squeeze()


class WritesInto(nn.Module):
    """Two layers whose sum is written into what another name sees, too."""

    def __init__(self, view, write):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)
        self.view, self.write = view, write

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.a(inputs.flatten(1))
        seen = self.view(hidden)
        self.write(seen, self.view(self.b(inputs.flatten(1))))
        return self.c((seen + hidden).flatten(1))


@pytest.mark.parametrize("view", [nn.Identity(), nn.Dropout(), nn.Flatten(), lambda x: x.view(-1, 2, 2), lambda x: x])
@pytest.mark.parametrize("write", [lambda x, y: x.add_(y), lambda x, y: functional.relu(x, inplace=True)])
def test_what_writes_into_memory_that_others_see_is_refused(view, write):
    """Bounds of the other name would be those from before: a proof of something else."""
    with pytest.raises(BenchError, match="writes into what another operation"):
        Bounded(WritesInto(view, write).eval())


def test_what_writes_into_its_own_memory_is_bounded():
    """Through views of it, as networks do that save memory."""

    class Saving(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3)

        def forward(self, inputs: Tensor) -> Tensor:
            flat = inputs.flatten(1)
            hidden = self.a(flat).view(-1, 2, 2).add_(self.b(flat).view(-1, 2, 2))
            return self.c(functional.relu(hidden, inplace=True).flatten(1))

    network, point = Saving().eval(), torch.full((1, 1, 2, 2), 0.5)
    label = int(network(point).argmax())
    threat_model = ThreatModel.parse("Linf:1/100")
    found = Certifier(network, threat_model).margin(point, label)
    assert found.least <= margins(network, nearby(point, threat_model, 500, 0), label).min()


def test_an_input_is_not_written_into():
    """It is the caller's."""

    class Centred(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return inputs.sub_(0.5).flatten(1)

    with pytest.raises(BenchError, match="or the caller, sees"):
        Bounded(Centred())


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_models_of_other_memory_and_shapes_are_bounded_or_named():
    """Channels last; logits whose only image was squeezed away; weights that a hook makes."""
    network, point = small_network(0), torch.full((1, 2, 4, 4), 0.5)
    label, threat_model = int(network(point).argmax()), ThreatModel.parse("Linf:1/10")
    expected = Certifier(network, threat_model).margin(point, label).least
    found = Certifier(network.to(memory_format=torch.channels_last), threat_model).margin(point, label).least
    assert found == pytest.approx(expected, abs=1e-3)
    hooked = nn.Sequential(nn.Flatten(), nn.utils.weight_norm(nn.Linear(32, 3)))
    for odd, says in ((Squeezed(), "Expected logits .1, K. of one image"), (hooked, "operations fail alone")):
        with pytest.raises(BenchError, match=says):
            Certifier(odd.eval(), threat_model).margin(point, label)


def test_certificates_are_computed_in_full_float32(monkeypatch):
    """Convolutions in TF32, which torch uses by default on GPUs, would be off by more than the room for rounding."""
    seen = []
    network, point = small_network(0), torch.full((1, 2, 4, 4), 0.5)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    least = Bounded.least
    monkeypatch.setattr(
        Bounded, "least", lambda *given: (seen.append(torch.backends.cudnn.allow_tf32), least(*given))[1]
    )
    Certifier(network, ThreatModel.parse("Linf:1/10")).margin(point, int(network(point).argmax()))
    assert seen and not any(seen) and torch.backends.cudnn.allow_tf32
