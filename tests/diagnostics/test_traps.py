"""A zoo of models whose robustness is an illusion, or that are broken: each is named by the check that is about it."""

from __future__ import annotations

import copy
import math
import random

import pytest
import torch
from torch import nn
from torch.nn import functional

from bench.diagnostics import diagnose_briefly

PIXEL = 1 / 16  # digits have 17 levels


class Around(nn.Module):
    """A network between something done to its inputs and something done to its logits."""

    def __init__(self, base, before=lambda inputs: inputs, after=lambda logits: logits):
        super().__init__()
        self.base, self.before, self.after = base, before, after

    def forward(self, inputs):
        return self.after(self.base(self.before(inputs)))


def backward(forward_as, gradient=lambda inputs, slope: slope):
    """A function with a backward pass of its own choice: straight through unless told otherwise."""

    class Function(torch.autograd.Function):
        @staticmethod
        def forward(context, inputs):
            context.save_for_backward(inputs)
            return forward_as(inputs)

        @staticmethod
        def backward(context, slope):
            return gradient(context.saved_tensors[0], slope)

    return Function.apply


def same(inputs):
    return inputs.clone()


def jpeg(inputs, step=0.4):
    """Round the coefficients of the cosine transform of the 8 x 8 image, as JPEG does."""
    rows = torch.arange(8.0)
    basis = torch.cos(math.pi * (2 * rows[None] + 1) * rows[:, None] / 16) / 2
    basis[0] /= math.sqrt(2)
    coefficients = torch.round(basis @ inputs @ basis.T / step) * step
    return basis.T @ coefficients @ basis


def noise_by_content(inputs, sigma=0.2):
    """The same noise for the same input, another one for any other."""
    weights = torch.arange(1, 65, dtype=torch.float64)
    key = (inputs.detach().double().flatten(1) * weights).sum(1, keepdim=True) * 1e4
    return inputs + sigma * torch.sin(key * weights * 12.9898 + weights).float().view_as(inputs)


def honest_on_the_grid_alone(inputs, slope):
    on_grid = (inputs / PIXEL - (inputs / PIXEL).round()).abs().amax((1, 2, 3), keepdim=True) < 1e-4
    return torch.where(on_grid, slope, -slope)


class KWinners(nn.Module):
    """k-winners-take-all in place of every ReLU (Xiao, Zhong, Zheng 2020, arXiv 1905.10510)."""

    def __init__(self, base, share=0.2):
        super().__init__()
        self.base, self.share = base, share

    def forward(self, inputs):
        relu = functional.relu
        functional.relu = lambda hidden, inplace=False: self._winners(relu(hidden))
        try:
            return self.base(inputs)
        finally:
            functional.relu = relu

    def _winners(self, hidden):
        flat = hidden.flatten(1)
        least = flat.topk(max(1, int(self.share * flat.shape[1])), dim=1).values[:, -1:]
        return (flat * (flat >= least)).view_as(hidden)


def with_batch_statistics(base):
    network = copy.deepcopy(base)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.track_running_stats, part.running_mean, part.running_var = False, None, None
    return network


class NeverInEval(nn.Module):
    """Stays in training mode whatever it is told."""

    def __init__(self, base):
        super().__init__()
        self.base, self.dropout = base, nn.Dropout(0.2)

    def train(self, mode=True):
        return super().train(True)

    def forward(self, inputs):
        return self.base(self.dropout(inputs))


class Counting(nn.Module):
    """Counts its calls in a buffer."""

    def __init__(self, base):
        super().__init__()
        self.base = base
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, inputs):
        self.calls += 1
        return self.base(inputs)


class Alternating(nn.Module):
    """One of two networks, by the toss of a coin."""

    def __init__(self, first, second):
        super().__init__()
        self.networks = nn.ModuleList([first, second])

    def forward(self, inputs):
        return self.networks[random.randrange(2)](inputs)


class ByGradientMode(nn.Module):
    """Shows attackers another network than judges."""

    def __init__(self, shown, scored):
        super().__init__()
        self.shown, self.scored = shown, scored

    def forward(self, inputs):
        return self.shown(inputs) if torch.is_grad_enabled() else self.scored(inputs)


class Purifying(nn.Module):
    """Moves its input towards more confident logits before it answers."""

    def __init__(self, base):
        super().__init__()
        self.base = base

    def forward(self, inputs):
        with torch.enable_grad():
            moved = inputs.detach().clone().requires_grad_()
            (slope,) = torch.autograd.grad(self.base(moved).logsumexp(1).sum(), moved)
        return self.base(inputs + 0.02 * slope.sign())


class OffGrid(nn.Module):
    """Not a number wherever a pixel is between two levels."""

    def __init__(self, base):
        super().__init__()
        self.base = base

    def forward(self, inputs):
        steps = inputs / PIXEL
        on_grid = ((steps - steps.round()).abs() < 1e-4).flatten(1).all(1, keepdim=True)
        return torch.where(on_grid, self.base(inputs), torch.nan)


class Undecided(nn.Module):
    """Equal logits, and so class 0, where the two best are close: a detector that hides among the classes."""

    def __init__(self, base):
        super().__init__()
        self.base = base

    def forward(self, inputs):
        logits = self.base(inputs)
        best, second = logits.topk(2, dim=1).values.unbind(1)
        return torch.where((best - second < 2)[:, None], 0.0, logits)


class Remembering(nn.Module):
    """Knows the test images by heart, and answers with the label of the nearest."""

    def __init__(self, base, examples):
        super().__init__()
        self.base, self.known, self.labels = base, examples.inputs.flatten(1), examples.labels

    def forward(self, inputs):
        nearest = torch.cdist(inputs.flatten(1), self.known).argmin(1)
        return self.base(inputs) + 50 * functional.one_hot(self.labels[nearest], 10)


def with_dummies(base, shift=0.5):
    """Raw logits of twice as many classes, the second half dummies that win now and then."""
    return Around(base, after=lambda logits: torch.cat([logits - shift, logits.flip(0)], dim=1))


class Rejecting(nn.Module):
    """An eleventh class for inputs with pixels between two levels, which no clean image has."""

    def __init__(self, base):
        super().__init__()
        self.base = base

    def forward(self, inputs):
        steps = inputs / PIXEL
        off_grid = ((steps - steps.round()).abs() > 1e-4).flatten(1).float().mean(1, keepdim=True)
        return torch.cat([self.base(inputs), 100 * (off_grid - 0.5)], dim=1)


TRAPS = {
    "a network that never leaves training mode": ("R1", NeverInEval),
    "a buffer that counts calls": ("R1", Counting),
    "dropout in eval mode": ("R2", lambda base: Around(base, lambda inputs: functional.dropout(inputs, 0.1, True))),
    "noise on the inputs": ("R2", lambda base: Around(base, lambda inputs: inputs + 0.1 * torch.randn_like(inputs))),
    "very little noise": ("R2", lambda base: Around(base, lambda inputs: inputs + 1e-3 * torch.randn_like(inputs))),
    "a coin that picks the network": ("R2", lambda base: Alternating(base, Around(base, lambda inputs: 1 - inputs))),
    "batch statistics in eval mode": ("R3", with_batch_statistics),
    "a gate on the batch mean": ("R3", lambda base: Around(base, lambda inputs: inputs * (0.9 + inputs.mean()))),
    "a gate that one can hardly see": (
        "R3",
        lambda base: Around(base, lambda inputs: inputs * (1 + inputs.mean() / 99)),
    ),
    "NaN off the pixel grid": ("R4", OffGrid),
    "softmax outputs": ("R5", lambda base: Around(base, after=lambda logits: logits.softmax(1))),
    "scaled softmax outputs": ("R5", lambda base: Around(base, after=lambda logits: 20 * logits.softmax(1))),
    "sigmoid outputs": ("R5", lambda base: Around(base, after=torch.sigmoid)),
    "one-hot outputs": (
        "R5",
        lambda base: Around(base, after=lambda logits: functional.one_hot(logits.argmax(1), 10).float()),
    ),
    "too few classes": ("R5", lambda base: Around(base, after=lambda logits: logits[:, :8])),
    "too many classes": (
        "R5",
        lambda base: Around(base, after=lambda logits: functional.pad(logits, (0, 2), value=-99)),
    ),
    "a pair": ("R5", lambda base: Around(base, after=lambda logits: (logits, logits))),
    "sparse logits": ("R5", lambda base: Around(base, after=torch.Tensor.to_sparse)),
    "raw dummy logits": ("R5", with_dummies),
    "logits times 10,000": ("R6", lambda base: Around(base, after=lambda logits: 1e4 * logits)),
    "a temperature of 1/30": ("R6", lambda base: Around(base, after=lambda logits: 30 * logits)),
    "logits over a million million": ("R6", lambda base: Around(base, after=lambda logits: 1e-12 * logits)),
    "logits far from zero": ("R6", lambda base: Around(base, after=lambda logits: logits + 1e6)),
    "inputs in five levels": ("R7", lambda base: Around(base, lambda inputs: torch.round(4 * inputs) / 4)),
    "JPEG": ("R7", lambda base: Around(base, jpeg)),
    "inputs in black and white": ("R7", lambda base: Around(base, lambda inputs: (inputs > 0.5).float())),
    "a detached input": ("R7", lambda base: Around(base, lambda inputs: inputs.detach())),
    "logits of the winner alone": (
        "R7",
        lambda base: Around(base, after=lambda logits: 20.0 * functional.one_hot(logits.argmax(1), 10) - 10),
    ),
    "a gradient over a million million": (
        "R7",
        lambda base: Around(base, backward(same, lambda _, slope: 1e-12 * slope)),
    ),
    "k-winners-take-all": ("R8", KWinners),
    "few winners less": ("R8", lambda base: KWinners(base, share=0.4)),
    "a straight-through step": ("R8", lambda base: Around(base, backward(lambda inputs: torch.round(8 * inputs) / 8))),
    "straight through JPEG": ("R8", lambda base: Around(base, backward(jpeg))),
    "a gradient of the wrong sign": ("R8", lambda base: Around(base, backward(same, lambda _, slope: -slope))),
    "a gradient that is noise": ("R8", lambda base: Around(base, backward(same, lambda _, slope: (1e6 * slope).sin()))),
    "nine tenths of the input detached": (
        "R8",
        lambda base: Around(base, lambda inputs: 0.9 * inputs.detach() + 0.1 * inputs),
    ),
    "noise that depends on the input": ("R8", lambda base: Around(base, noise_by_content)),
    "spikes on the inputs": ("R8", lambda base: Around(base, lambda inputs: inputs + 0.02 * (500 * inputs).sin())),
    "spikes on the logits": ("R8", lambda base: Around(base, after=lambda logits: logits + (300 * logits).sin() / 2)),
    "a network for attackers": ("R14", lambda base: ByGradientMode(Around(base, lambda inputs: 1 - inputs), base)),
    "ties that hide a detector": ("R14", Undecided),
    "an eleventh class": ("R14", Rejecting),
    "dummies that win": ("R14", with_dummies),
    "optimisation at test time": ("R18", Purifying),
}


@pytest.mark.parametrize("name", TRAPS)
def test_a_trap_is_named_by_its_check(name, base, examined):
    """The check that is about the trap fails, with evidence and a next step."""
    check, build = TRAPS[name]
    random.seed(0)
    torch.manual_seed(0)
    found = examined(build(base), check)[check]
    assert found.status == "fail", found.evidence
    assert found.evidence.endswith(".")
    assert found.next


HONEST = {
    "logarithms of probabilities": lambda base: Around(base, after=lambda logits: logits.log_softmax(1)),
    "half precision inside": lambda base: Around(
        copy.deepcopy(base).bfloat16(), lambda inputs: inputs.bfloat16(), lambda logits: logits.float()
    ),
    "a median filter": lambda base: Around(
        base,
        lambda inputs: (
            functional.pad(inputs, (1,) * 4, "replicate").unfold(2, 3, 1).unfold(3, 3, 1).flatten(4).median(4).values
        ),
    ),
    "larger logits": lambda base: Around(base, after=lambda logits: 2 * logits + 3),
}


@pytest.mark.parametrize("name", HONEST)
def test_what_is_unusual_and_honest_fails_no_quick_check(name, base, digits):
    """A check is about what goes wrong, not about what is seldom seen."""
    found = diagnose_briefly(
        HONEST[name](base).eval(), digits.examples, threat_model=digits.default_threat_model, num_classes=10
    )
    assert not [diagnostic.evidence for diagnostic in found if diagnostic.failed]


def test_a_model_that_changes_its_input_in_place_is_told_by_state(plain, examined):
    """It is given copies, so that every other check finds what it finds of the network; the first one says so."""

    def shift(inputs):
        inputs -= 0.25
        return inputs + 0.25

    found = examined(Around(plain, before=shift), "R1", "R2", "R5", "R7")
    assert (found["R1"].status, found["R2"].status, found["R7"].status) == ("warn", "pass", "pass")
    assert "in place" in found["R1"].evidence
    assert "clone" in found["R1"].next
