"""Models without a fault, some of which look as if they had one: nothing is to be said against any of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.core.types import Examples
from bench.diagnostics.traps.trap import Around, Trap

__all__ = ["TRAPS", "GeluNet", "SmallViT"]


class SmallViT(nn.Module):
    """A transformer of two blocks on patches of a quarter of the image's side."""

    def __init__(self, channels: int, side: int, num_classes: int, width: int = 32) -> None:
        super().__init__()
        patch = side // 4
        self.patches = nn.Conv2d(channels, width, patch, patch)
        self.places = nn.Parameter(0.02 * torch.randn(1, 16, width))
        block = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, activation="gelu", batch_first=True)
        self.blocks = nn.TransformerEncoder(block, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, num_classes)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits `(N, K)` of inputs `(N, C, H, W)`."""
        tokens = self.patches(2 * inputs - 1).flatten(2).transpose(1, 2) + self.places
        logits: Tensor = self.head(self.blocks(tokens).mean(1))
        return logits


class GeluNet(nn.Sequential):
    """LayerNorm and GELU between linear layers."""

    def __init__(self, n_inputs: int, num_classes: int, width: int = 64) -> None:
        super().__init__(
            nn.Flatten(),
            nn.Linear(n_inputs, width),
            nn.LayerNorm(width),
            nn.GELU(),
            nn.Linear(width, width),
            nn.LayerNorm(width),
            nn.GELU(),
            nn.Linear(width, num_classes),
        )


class Constant(nn.Module):
    """The same logits for every image."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits: Tensor
        self.register_buffer("logits", logits)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits `(N, K)` of inputs `(N, C, H, W)`."""
        return self.logits.expand(len(inputs), -1) + 0 * inputs.flatten(1).sum(1, keepdim=True)


def _trained(make: Callable[[Examples], nn.Module]) -> Callable[[nn.Module, Examples], nn.Module]:
    """A new network, trained for a moment on the examples themselves; the same each time."""

    def build(base: nn.Module, examples: Examples) -> nn.Module:
        del base
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(0)
            model = make(examples)
            _fit(model, examples)
        return model.eval()

    return build


def _fit(model: nn.Module, examples: Examples, steps: int = 60) -> None:
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(steps):
        noisy = (examples.inputs + 0.1 * torch.randn_like(examples.inputs)).clamp(0, 1)
        optimizer.zero_grad()
        functional.cross_entropy(model(noisy), examples.labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def _classes(examples: Examples) -> int:
    return int(examples.labels.max()) + 1


TRAPS = (
    Trap.honest("the network itself", lambda base, _: base),
    Trap.honest(
        "a small ViT",
        _trained(lambda few: SmallViT(few.inputs.shape[1], few.inputs.shape[2], _classes(few))),
    ),
    Trap.honest("LayerNorm and GELU", _trained(lambda few: GeluNet(few.inputs[0].numel(), _classes(few)))),
    Trap.honest(
        "max-pooling with ties",
        lambda base, _: Around(base, lambda inputs: 0.5 * inputs + 0.5 * functional.max_pool2d(inputs, 3, 1, 1)),
    ),
    Trap.honest("log-probabilities", lambda base, _: Around(base, after=lambda logits: logits.log_softmax(1))),
    Trap.honest("never right", lambda base, _: Around(base, after=lambda logits: -logits)),
    Trap.honest("all zeros", lambda _, few: Constant(torch.zeros(_classes(few)))),
    Trap.honest("always the first class", lambda _, few: Constant(torch.eye(_classes(few))[0])),
    Trap.honest("always the third class, large", lambda _, few: Constant(-3 + 20 * torch.eye(_classes(few))[2])),
)
