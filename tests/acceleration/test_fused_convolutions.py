from __future__ import annotations

import pytest
import torch
from torch import fx, nn

from bench.acceleration.forms import Silenced, inference_form, low_form
from bench.acceleration.fused_convolutions import fused

in_bfloat16 = pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="such calls in bfloat16 need AVX512"
)


class Residual(nn.Module):
    """Two blocks: one whose sum is the last to read its input, one whose input is read again later."""

    def __init__(self, *, read_again: bool) -> None:
        super().__init__()
        self.first, self.second, self.third = (nn.Conv2d(3 if n == 0 else 8, 8, 3, padding=1) for n in range(3))
        self.linear, self.relu, self.read_again = nn.Linear(8, 10), nn.ReLU(), read_again

    def forward(self, inputs):
        start = torch.relu(self.first(inputs))
        block = self.relu(self.third(self.second(start).relu()) + start)
        return self.linear((block + start if self.read_again else block).mean((2, 3)))


def traced(module: nn.Module) -> fx.GraphModule:
    form = fx.symbolic_trace(module.eval().requires_grad_(False))
    return form.to(memory_format=torch.channels_last)


def calls(form: nn.Module) -> list[nn.Module]:
    return [part for name, part in form.named_modules() if name.startswith("_fused")]


@pytest.mark.parametrize("read_again", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.bfloat16, marks=in_bfloat16)])
def test_the_fused_network_gives_the_same_logits(read_again, dtype) -> None:
    """Every convolution ends in its ReLU; a sum takes the place of its input only where nothing reads that again."""
    torch.manual_seed(0)
    network = traced(Residual(read_again=read_again)).to(dtype)
    form = fused(network)
    assert form is not None
    assert [call.in_place for call in calls(form)] == [False, False, not read_again]
    inputs = torch.rand(3, 3, 8, 8).to(dtype)
    with torch.no_grad():
        tolerance = {} if dtype is torch.float32 else {"rtol": 0.02, "atol": 0.02}
        for _ in range(2):
            torch.testing.assert_close(form(inputs), network(inputs), **tolerance)
    assert not any(name.startswith("_fused") for name, _ in network.named_modules())


def test_a_sum_does_not_take_the_place_of_what_its_convolution_reads() -> None:
    """ReLU(conv(x) + x) needs x until it is done."""

    class Short(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1)

        def forward(self, inputs):
            start = torch.relu(self.first(inputs))
            return torch.relu(self.second(start) + start).mean((2, 3))

    torch.manual_seed(0)
    network, inputs = traced(Short()), torch.rand(3, 3, 8, 8)
    form = fused(network)
    assert [call.in_place for call in calls(form)] == [False, False]
    with torch.no_grad():
        torch.testing.assert_close(form(inputs), network(inputs))


def test_a_network_without_such_calls_has_no_fused_form() -> None:
    """A convolution that something else reads, and one with another padding, stay as they are."""

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.other = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3, padding="same", padding_mode="reflect")

        def forward(self, inputs):
            hidden = self.conv(inputs)
            return (torch.relu(hidden) + hidden).mean((2, 3)) + torch.relu(self.other(inputs)).mean((2, 3))

    assert fused(traced(Plain())) is None


@pytest.mark.parametrize("make", [inference_form, pytest.param(low_form, marks=in_bfloat16)])
def test_forms_use_it_only_without_gradients(make) -> None:
    """Logits agree up to rounding, and gradients still flow."""
    torch.manual_seed(0)
    model = Residual(read_again=False).eval()
    probe = torch.rand(3, 3, 8, 8)
    form = make(model, probe)
    (silenced,) = (part for part in form.modules() if isinstance(part, Silenced))
    assert calls(silenced.silent)
    assert not calls(silenced.network)
    with torch.no_grad():
        silent = form(probe)
    leaf = probe.clone().requires_grad_()
    logits = form(leaf)
    torch.testing.assert_close(silent, logits.detach(), rtol=0.02, atol=0.02)
    assert torch.autograd.grad(logits.sum(), leaf)[0].abs().sum() > 0


def test_a_network_without_a_fused_form_on_this_cpu_is_used_as_it_is(monkeypatch) -> None:
    """Where a CPU refuses such calls, as those without AVX512 do in bfloat16, the form makes none."""

    def refuse(network):
        raise RuntimeError("bf16 path needs avx512")

    monkeypatch.setattr("bench.acceleration.forms.fused", refuse)
    torch.manual_seed(0)
    form = low_form(Residual(read_again=False).eval(), torch.rand(3, 3, 8, 8))
    assert form is not None
    assert not any(isinstance(part, Silenced) for part in form.modules())


@pytest.mark.parametrize("make", [inference_form, low_form])
def test_a_fused_form_that_answers_otherwise_is_not_used(make, monkeypatch) -> None:
    """The calls are undocumented, so what they give is compared."""
    model = Residual(read_again=False).eval()
    probe = torch.rand(3, 3, 8, 8)
    monkeypatch.setattr("bench.acceleration.forms.fused", lambda network: nn.Sequential(network, nn.Tanh()))
    assert not any(isinstance(part, Silenced) for part in make(model, probe).modules())
