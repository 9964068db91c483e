"""What a trap is: a model whose number would be believed, beside what an attacker does who knows how it is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from bench.core.types import Examples

__all__ = ["HONEST", "Around", "Trap"]

HONEST = "honest"
"""The kind of those that are what they seem, and whose number is true."""


class Around(nn.Module):
    """A network between something done to its inputs and something done to its logits.

    Args:
        base: the network.
        before: of inputs `(N, C, H, W)`.
        after: of logits `(N, K)`.
    """

    def __init__(
        self,
        base: nn.Module,
        before: Callable[[Tensor], Tensor] = lambda inputs: inputs,
        after: Callable[[Tensor], Tensor] = lambda logits: logits,
    ) -> None:
        super().__init__()
        self.base, self.before, self.after = base, before, after

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits `(N, K)` of inputs `(N, C, H, W)`."""
        return self.after(self.base(self.before(inputs)))


def _itself(module: nn.Module, base: nn.Module) -> nn.Module:
    del base
    return module


def _base(module: nn.Module, base: nn.Module) -> nn.Module:
    del module
    return base


@dataclass(frozen=True, kw_only=True)
class Trap:
    """One model of known truth.

    Args:
        name: what it does, in a few words.
        kind: of fault; `HONEST` where there is none.
        build: makes it from a trained network and the examples that it is to be scored on.
        attacked: what an attacker climbs who knows it, of the trap and its network: what he finds there counts where
            it breaks the trap. The network itself, unless told otherwise.
        remembers: it knows the examples it is scored on, so that only `attacked` says what it is worth on others.
    """

    name: str
    kind: str
    build: Callable[[nn.Module, Examples], nn.Module]
    attacked: Callable[[nn.Module, nn.Module], nn.Module] = _base
    remembers: bool = False

    @classmethod
    def honest(cls, name: str, build: Callable[[nn.Module, Examples], nn.Module]) -> Trap:
        """A model whose gradients are its own: whoever attacks it directly finds the truth."""
        return cls(name=name, kind=HONEST, build=build, attacked=_itself)
