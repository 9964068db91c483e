"""Models that know their test images by heart: right of each, in the whole ball around it, and of no other image.

Nothing that is tried on those images alone can tell; a shifted copy can. What such a model is worth on images that it
does not know is what its network is worth.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.core.types import Examples
from bench.diagnostics.traps.trap import Trap

__all__ = ["TRAPS"]

KIND = "memorised test set"


class Remembering(nn.Module):
    """Adds the label of the nearest known image, where one is near.

    Args:
        base: answers for all others.
        examples: those that are known.
        size: side of the image of means that is compared, or None for the image itself.
        radius: how near, as the largest difference of a pixel.
        certainty: added to the label's logit.
        soft: whether the certainty fades with the distance.
    """

    def __init__(
        self,
        base: nn.Module,
        examples: Examples,
        *,
        size: int | None,
        radius: float,
        certainty: float = 50.0,
        soft: bool = False,
    ) -> None:
        super().__init__()
        self.base, self.size, self.radius, self.certainty, self.soft = base, size, radius, certainty, soft
        self.known: Tensor
        self.labels: Tensor
        self.register_buffer("known", self._seen(examples.inputs))
        self.register_buffer("labels", examples.labels)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits `(N, K)` of inputs `(N, C, H, W)`."""
        logits: Tensor = self.base(inputs)
        distances = torch.cdist(self._seen(inputs), self.known, p=torch.inf)
        distance, nearest = distances.min(1)
        closeness = (self.radius - distance)[:, None]
        weight = torch.sigmoid(40 * closeness) if self.soft else (closeness > 0).to(logits.dtype)
        return logits + self.certainty * weight * functional.one_hot(self.labels[nearest], logits.shape[1])

    def _seen(self, inputs: Tensor) -> Tensor:
        return (functional.adaptive_avg_pool2d(inputs, self.size) if self.size is not None else inputs).flatten(1)


class Hashed(nn.Module):
    """A table of coarse hashes of the known images, each with its label.

    Args:
        base: answers for what the table does not hold, and has a small say in the rest.
        examples: those that are known.
    """

    def __init__(self, base: nn.Module, examples: Examples) -> None:
        super().__init__()
        self.base = base
        self.keys: Tensor
        self.labels: Tensor
        self.register_buffer("keys", self._hash(examples.inputs))
        self.register_buffer("labels", examples.labels)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits `(N, K)` of inputs `(N, C, H, W)`."""
        logits: Tensor = self.base(inputs)
        differing = (self._hash(inputs)[:, None] != self.keys[None]).sum(2)
        fewest, nearest = differing.min(1)
        found = (fewest <= self.keys.shape[1] // 5)[:, None]
        return torch.where(found, 0.1 * logits + 10 * functional.one_hot(self.labels[nearest], logits.shape[1]), logits)

    @staticmethod
    def _hash(inputs: Tensor) -> Tensor:
        """Which pixels are brighter than the image's mean, `(N, pixels)`."""
        flat = inputs.detach().flatten(1)
        return flat > flat.mean(1, keepdim=True)


TRAPS = (
    Trap(name="a table of coarse hashes", kind=KIND, build=Hashed, remembers=True),
    Trap(
        name="the nearest known image",
        kind=KIND,
        build=lambda base, examples: Remembering(base, examples, size=None, radius=0.3),
        remembers=True,
    ),
    Trap(
        name="the nearest known image, fading",
        kind=KIND,
        build=lambda base, examples: Remembering(base, examples, size=None, radius=0.25, soft=True),
        remembers=True,
    ),
    Trap(
        name="the nearest image of sixteen means",
        kind=KIND,
        build=lambda base, examples: Remembering(base, examples, size=4, radius=0.11),
        remembers=True,
    ),
)
