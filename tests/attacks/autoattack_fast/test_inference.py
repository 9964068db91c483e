from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.attacks.autoattack.fast.inference import Bfloat16, inference_form
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
    low = Bfloat16(inference_form(model, probe))
    leaf = probe.clone().requires_grad_()
    logits = low(leaf)
    (gradient,) = torch.autograd.grad(logits.sum(), leaf)
    assert logits.dtype == gradient.dtype == torch.float32
    torch.testing.assert_close(logits, model(probe), rtol=0.1, atol=0.1 * model(probe).abs().max().item())
