"""Defences of the literature, rebuilt around a trained network: each with what is known to break it.

They are sketches of the ideas that their authors published, small enough to be read, and made to mislead plain
gradients as the originals do; no number here is one of theirs.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.core.types import Examples
from bench.diagnostics.traps.trap import Around, Trap

__all__ = ["TRAPS"]

KIND = "defence of the literature"


class CrossMax(nn.Module):
    """Votes of copies that see the image at several scales, each class by its k-th best (Fort, Lakshminarayanan 2024).

    Logits are normalised over classes, then over members; the third best of every class counts. The noise of each
    member, fixed by the image, is part of the original too.
    """

    def __init__(self, base: nn.Module, members: int = 5, sigma: float = 0.1) -> None:
        super().__init__()
        self.base, self.members, self.sigma = base, members, sigma

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits `(N, K)` of inputs `(N, C, H, W)`."""
        votes = torch.stack([self.base(self._seen(inputs, member)) for member in range(self.members)], 1)
        votes = votes - votes.amax(2, keepdim=True)
        votes = votes - votes.amax(1, keepdim=True)
        return votes.topk(self.members // 2 + 1, dim=1).values[:, -1]

    def _seen(self, inputs: Tensor, member: int) -> Tensor:
        return (inputs + self.sigma * _noise_of(inputs, number=member)).clamp(0, 1) if member else inputs


class Sparse(nn.Module):
    """Activations near the mean of their channel become that mean (MeanSparse, Amini et al. 2024, arXiv 2406.05927)."""

    def __init__(self, base: nn.Module, examples: Examples, width: float = 1.0) -> None:
        super().__init__()
        self.base, self.width = base, width
        self._seen: list[Tensor] = []
        with torch.no_grad():
            self._through(examples.inputs, self._note)
        self._means = [each.mean((0, *range(2, each.ndim)), keepdim=True) for each in self._seen]
        self._spreads = [each.std((0, *range(2, each.ndim)), keepdim=True) for each in self._seen]

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits `(N, K)` of inputs `(N, C, H, W)`."""
        return self._through(inputs, self._sparse)

    def _through(self, inputs: Tensor, change: Callable[[Tensor, int], Tensor]) -> Tensor:
        return _with_relu(self.base, inputs, change)

    def _note(self, hidden: Tensor, number: int) -> Tensor:
        del number
        self._seen.append(hidden)
        return hidden

    def _sparse(self, hidden: Tensor, number: int) -> Tensor:
        mean, spread = self._means[number], self._spreads[number]
        return torch.where((hidden - mean).abs() <= self.width * spread, mean, hidden)


class Neighbours(nn.Module):
    """The classes of the nearest known logits, counted (a k-nearest-neighbour head)."""

    def __init__(self, base: nn.Module, examples: Examples, neighbours: int = 5) -> None:
        super().__init__()
        self.base, self.neighbours = base, neighbours
        self.known: Tensor
        self.labels: Tensor
        with torch.no_grad():
            draws = torch.Generator().manual_seed(0)
            noise = torch.rand(4, *examples.inputs.shape, generator=draws).to(examples.inputs) - 0.5
            images = (examples.inputs + 0.4 * noise).clamp(0, 1).flatten(0, 1)
            logits = base(images)
        self.register_buffer("known", logits)
        self.register_buffer("labels", logits.argmax(1))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits `(N, K)` of inputs `(N, C, H, W)`: counts, and a little of the distance."""
        logits: Tensor = self.base(inputs)
        near = torch.cdist(logits, self.known).topk(self.neighbours, dim=1, largest=False)
        votes = functional.one_hot(self.labels[near.indices], logits.shape[1]).to(logits.dtype)
        return votes.sum(1) + 0.01 * (votes / (1 + near.values[:, :, None])).sum(1)


class AntiAdversary(nn.Module):
    """Moves each image towards more certainty of the class it has (Alfarra et al. 2022, arXiv 2103.14347)."""

    def __init__(self, base: nn.Module, *, steps: int = 2, size: float = 0.05) -> None:
        super().__init__()
        self.base, self.steps, self.size = base, steps, size

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits `(N, K)` of inputs `(N, C, H, W)`."""
        with torch.enable_grad():
            moved = inputs.detach().clone()
            target = self.base(moved).argmax(1)
            for _ in range(self.steps):
                moved.requires_grad_()
                (slope,) = torch.autograd.grad(functional.cross_entropy(self.base(moved), target), moved)
                moved = (moved - self.size * slope.sign()).detach()
        logits: Tensor = self.base(inputs + (moved - inputs).detach())
        return logits


class Purified(nn.Module):
    """Goes down the energy of the image before it is classified: a purification by gradient steps."""

    def __init__(self, base: nn.Module, *, steps: int = 3, size: float = 0.03) -> None:
        super().__init__()
        self.base, self.steps, self.size = base, steps, size

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits `(N, K)` of inputs `(N, C, H, W)`."""
        moved = inputs.detach()
        with torch.enable_grad():
            for _ in range(self.steps):
                moved = moved.detach().requires_grad_()
                energy = -self.base(moved).logsumexp(1).sum()
                (slope,) = torch.autograd.grad(energy, moved)
                moved = (moved - self.size * slope.sign()).clamp(0, 1)
        logits: Tensor = self.base(inputs + (moved.detach() - inputs).detach())
        return logits


class Smoothed(nn.Module):
    """The mean over noisy copies, whose noise is fixed by the image: the same image, the same answer."""

    def __init__(self, base: nn.Module, *, copies: int = 4, sigma: float = 0.25) -> None:
        super().__init__()
        self.base, self.copies, self.sigma = base, copies, sigma

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits `(N, K)` of inputs `(N, C, H, W)`."""
        answers = [self.base(inputs + self.sigma * _noise_of(inputs, number)) for number in range(self.copies)]
        return torch.stack(answers).mean(0)


def thermometer(inputs: Tensor, levels: int = 8, sharpness: float = 60.0) -> Tensor:
    """Pixels as the number of levels that they exceed, softly (after Buckman et al. 2018)."""
    steps = (torch.arange(levels, device=inputs.device) + 0.5) / levels
    return torch.sigmoid(sharpness * (inputs[..., None] - steps)).mean(-1)


def jpeg(inputs: Tensor, step: float = 0.4) -> Tensor:
    """Coefficients of the cosine transform of 8 x 8 blocks, rounded by a soft staircase."""
    count, channels, height, width = inputs.shape
    basis = _cosines().to(inputs)
    blocks = inputs.unfold(2, 8, 8).unfold(3, 8, 8)
    scaled = basis @ blocks @ basis.T / step
    soft = scaled.detach().round() + (scaled - scaled.detach().round()).pow(3) * 4 * 0.25
    back = basis.T @ (soft * step) @ basis
    return back.permute(0, 1, 2, 4, 3, 5).reshape(count, channels, height, width)


def _cosines() -> Tensor:
    rows = torch.arange(8.0)
    basis = torch.cos(math.pi * (2 * rows[None] + 1) * rows[:, None] / 16) / 2
    basis[0] /= math.sqrt(2)
    return basis


def _noise_of(inputs: Tensor, number: int) -> Tensor:
    """The same noise for the same image, another one for any other."""
    weights = torch.arange(1, inputs[0].numel() + 1, dtype=torch.float64, device=inputs.device)
    key = (inputs.detach().double().flatten(1) * weights).sum(1, keepdim=True) * 1e4 + number
    return (1.4 * torch.sin(key * weights * 12.9898 + weights)).to(inputs.dtype).view_as(inputs)


def _with_relu(base: nn.Module, inputs: Tensor, change: Callable[[Tensor, int], Tensor]) -> Tensor:
    """The network's answer, each of its ReLUs followed by `change`, which is told its number."""
    relu, calls = functional.relu, [0]

    def changed(input: Tensor, inplace: bool = False) -> Tensor:  # noqa: A002 - as torch calls it
        del inplace
        calls[0] += 1
        return change(torch.relu(input), calls[0] - 1)

    functional.relu = changed
    try:
        logits: Tensor = base(inputs)
        return logits
    finally:
        functional.relu = relu


TRAPS = (
    Trap(name="CrossMax", kind=KIND, build=lambda base, _: CrossMax(base)),
    Trap(name="MeanSparse", kind=KIND, build=Sparse),
    Trap(name="nearest neighbours", kind=KIND, build=Neighbours),
    Trap(name="anti-adversary layer", kind=KIND, build=lambda base, _: AntiAdversary(base)),
    Trap(name="purification", kind=KIND, build=lambda base, _: Purified(base)),
    Trap(name="smoothing with the image's own noise", kind=KIND, build=lambda base, _: Smoothed(base)),
    Trap(name="thermometer", kind=KIND, build=lambda base, _: Around(base, thermometer)),
    Trap(name="JPEG with soft rounding", kind=KIND, build=lambda base, _: Around(base, jpeg)),
    Trap(name="temperature", kind=KIND, build=lambda base, _: Around(base, after=lambda logits: 50 * logits)),
)
