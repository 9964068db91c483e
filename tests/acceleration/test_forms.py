from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.acceleration.forms import inference_form, low_form
from bench.models.architectures import ARCHITECTURES


def with_statistics(module: nn.Module) -> nn.Module:
    """Give batch norms running statistics and weights that a wrong folding would show."""
    generator = torch.Generator().manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor, low in (
                (part.running_mean, -0.5),
                (part.running_var, 0.5),
                (part.weight, 0.5),
                (part.bias, -0.5),
            ):
                tensor.data.uniform_(low, low + 1, generator=generator)
    return module.eval()


@pytest.fixture
def probe() -> torch.Tensor:
    return torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def batch_norms(module: nn.Module) -> int:
    return sum(isinstance(part, nn.BatchNorm2d) for part in module.modules())


def test_a_resnet_loses_its_batch_norms_and_keeps_its_logits(probe) -> None:
    """Every batch norm of a ResNet follows a convolution and folds into it."""
    model = with_statistics(ARCHITECTURES.get("resnet18").build(num_classes=10, in_channels=3, width=4))
    before = batch_norms(model)
    fast = inference_form(model, probe)
    assert batch_norms(fast) == 0
    assert batch_norms(model) == before > 0
    torch.testing.assert_close(fast(probe), model(probe), rtol=1e-4, atol=1e-4)
    assert not any(each.requires_grad for each in fast.parameters())
    assert all(each.requires_grad for each in model.parameters())


def test_gradients_at_the_input_stay_the_same(probe) -> None:
    """What the attacks climb is the same slope."""
    model = with_statistics(ARCHITECTURES.get("resnet18").build(num_classes=10, in_channels=3, width=4))
    gradients = []
    for each in (model, inference_form(model, probe)):
        leaf = probe.clone().requires_grad_()
        gradients += torch.autograd.grad(each(leaf)[:, 0].sum(), leaf)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-3, atol=1e-5)


class Shared(nn.Module):
    """One convolution in front of two batch norms: nothing to fold."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.first, self.second = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, inputs):
        hidden = self.conv(inputs)
        return (self.first(hidden) + self.second(hidden)).mean((2, 3))


class Branching(nn.Module):
    """Control flow that depends on values, which cannot be traced."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, inputs):
        hidden = self.norm(self.conv(inputs)).mean((2, 3))
        return hidden if hidden.sum() > 0 else -hidden


@pytest.mark.parametrize("kind", [Shared, Branching])
def test_what_cannot_be_folded_is_left_alone(kind, probe) -> None:
    """A shared convolution and an untraceable model keep their batch norms and their logits."""
    model = with_statistics(kind())
    fast = inference_form(model, probe)
    assert batch_norms(fast) == batch_norms(model)
    torch.testing.assert_close(fast(probe), model(probe))


def test_bfloat16_takes_and_gives_float32(probe) -> None:
    """The low-precision copy is close to the model, and its gradient reaches the input."""
    model = with_statistics(ARCHITECTURES.get("resnet18").build(num_classes=10, in_channels=3, width=4))
    low = low_form(model, probe)
    assert low is not None
    leaf = probe.clone().requires_grad_()
    logits = low(leaf)
    (gradient,) = torch.autograd.grad(logits.sum(), leaf)
    assert logits.dtype == gradient.dtype == torch.float32
    torch.testing.assert_close(logits, model(probe), rtol=0.1, atol=0.1 * model(probe).abs().max().item())


class Masked(nn.Module):
    """A model that hides its gradient; tracing it would lose the context that does so."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, inputs):
        with torch.no_grad():
            hidden = self.conv(inputs).mean((2, 3))
        return hidden + 0.01 * inputs.mean((1, 2, 3))[:, None]


def test_a_form_with_another_gradient_is_not_used(probe) -> None:
    """Equal logits are not enough: attacks on the form shall meet what attacks on the model meet."""
    model = Masked().eval()
    leaf = probe.clone().requires_grad_()
    slopes = [torch.autograd.grad(each(leaf)[:, 0].sum(), leaf)[0] for each in (model, inference_form(model, probe))]
    torch.testing.assert_close(slopes[1], slopes[0])


class Uncopied(nn.Module):
    """A model that cannot be copied."""

    def __deepcopy__(self, memo):
        raise RuntimeError("no copies")

    def forward(self, inputs):
        return inputs.mean((2, 3))


def test_a_model_that_cannot_be_copied_stands_for_itself(probe) -> None:
    """No form, no failure."""
    model = Uncopied()
    assert inference_form(model, probe) is model
    assert low_form(model, probe) is None


class Mixed(nn.Module):
    """Insists on float32 between its layers, and has a group norm."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.conv, self.norm, self.linear = nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.Linear(8, 10)
        self.mixing, self.dtype = nn.Parameter(torch.eye(8)), dtype

    def forward(self, inputs):
        if inputs.dtype not in (torch.float32, self.dtype):
            raise TypeError("unknown type")
        hidden = self.norm(self.conv(inputs)).relu().mean((2, 3))
        return self.linear((hidden.float() @ self.mixing).to(hidden.dtype))


def test_a_model_that_is_partly_in_float32_has_a_low_form(probe) -> None:
    """Its convolutions and linear layers alone are converted."""
    torch.manual_seed(0)
    model = Mixed(torch.bfloat16).eval()
    low = low_form(model, probe)
    assert low is not None
    kinds = {name: parameter.dtype for name, parameter in low.named_parameters()}
    assert {dtype for name, dtype in kinds.items() if "conv" in name} == {torch.bfloat16}
    assert {dtype for name, dtype in kinds.items() if "mixing" in name or "norm" in name} <= {torch.float32}
    torch.testing.assert_close(low(probe), model(probe), rtol=0.1, atol=0.05)


def test_a_model_that_refuses_bfloat16_has_none(probe, capsys) -> None:
    """And nothing is printed about it."""
    assert low_form(Mixed(torch.float64).eval(), probe) is None
    assert capsys.readouterr() == ("", "")


class Context(nn.Module):
    """A network with a part under a context of its own, which a graph of its calls would forget."""

    def __init__(self, context) -> None:
        super().__init__()
        self.context = context
        self.conv, self.norm, self.linear = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 5)

    def forward(self, inputs):
        features = self.norm(self.conv(inputs)).mean((2, 3))
        with self.context():
            small = 1e-3 * self.linear(features)
        return self.linear(features) + small


@pytest.mark.parametrize("context", [torch.no_grad, torch.enable_grad, lambda: torch.set_grad_enabled(False)])
@pytest.mark.parametrize("make", [inference_form, low_form])
def test_a_model_that_switches_gradients_is_not_traced(probe, make, context) -> None:
    """However little the switch changes, the form keeps it: batch norms are left where they are."""
    model = with_statistics(Context(context))
    form = make(model, probe)
    assert batch_norms(form) == 1
    assert not any(isinstance(part, torch.fx.GraphModule) for part in form.modules())


class Asking(nn.Module):
    """A network that answers otherwise where no gradient is wanted."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, inputs):
        logits = self.norm(self.conv(inputs)).mean((2, 3))
        return logits if torch.is_grad_enabled() else 2 * logits


def test_a_form_is_compared_without_gradients_too(probe) -> None:
    """A graph holds the branch that was taken while it was made; the form takes the other one as well."""
    model = with_statistics(Asking())
    form = inference_form(model, probe)
    with torch.no_grad():
        torch.testing.assert_close(form(probe), model(probe))
    torch.testing.assert_close(form(probe), model(probe))
