"""Passes of a traced network on a GPU, replayed from CUDA graphs: one launch instead of one for every kernel.

A small batch keeps a GPU waiting for Python. A graph holds the kernels of one pass at one batch size, and memory of its
own. So a small size is captured when it comes again and again; of passes alone and of passes with a gradient one graph
each is kept. It stays where it gives the same to the bit: which passes are replayed depends on what came before in this
process, and no result may show that.

What a graph returns lies in memory that its next replay overwrites. Results are therefore copied, and a gradient that
is asked for after another pass repeats its own pass first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from bench.acceleration.equivalence import Network, alike

__all__ = ["GraphReplay"]

PATIENCE = 3
"""A batch size that comes so many times in a row is captured."""
MOST_VALUES = 256 * 3 * 32 * 32
"""OUR CHOICE: of a captured batch's inputs. On more of them kernels take longer than their launches, and a graph holds
more memory than it is worth."""

Capture = Callable[[Network, Tensor], Network]
"""From a network and a sample input to what replays its passes on inputs of that shape.

With gradients where the sample requires one. The sample's memory, and that of all results, may be used at every replay.
"""


def _on_cuda(network: Network, sample: Tensor) -> Network:
    with torch.cuda.device(sample.device):
        # A function, since of a module it would replace the module's own forward.
        return cast(Network, torch.cuda.make_graphed_callables(lambda inputs: network(inputs), (sample,)))


class GraphReplay(nn.Module):
    """A network that answers by replaying small batches of a size that lasts, and else by itself.

    Args:
        network: maps inputs `(N, C, H, W)` to logits `(N, K)`, frozen; what it does depends on shapes alone.
        capture: makes the replay.
    """

    def __init__(self, network: nn.Module, *, capture: Capture = _on_cuda) -> None:
        super().__init__()
        self.network = network
        self._kinds = {wanted: _Kind(network, capture, differentiable=wanted) for wanted in (False, True)}

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits `(N, K)`."""
        kind = self._kinds[torch.is_grad_enabled() and inputs.requires_grad]
        try:
            replay = kind.replay_for(inputs)
            logits: Tensor = self.network(inputs) if replay is None else replay(inputs)
        except torch.OutOfMemoryError:
            for each in self._kinds.values():
                each.forget()
            raise
        return logits


class _Kind:
    """Passes of one kind, and the one graph that is kept of them."""

    def __init__(self, network: Network, capture: Capture, *, differentiable: bool) -> None:
        self._network, self._capture, self._differentiable = network, capture, differentiable
        self._replay: _Replay | None = None
        self._shape: torch.Size | None = None
        self._times = 0
        self._fails = False

    def replay_for(self, inputs: Tensor) -> _Replay | None:
        """The replay of inputs like these, captured if it is time; None where they go the usual way."""
        self._times = self._times + 1 if inputs.shape == self._shape else 1
        if self._times == 1:
            self._shape, self._replay = inputs.shape, None
        if self._times == PATIENCE and 0 < inputs.numel() <= MOST_VALUES and not self._fails:
            self._replay = self._captured(inputs.detach())
        return self._replay

    def forget(self) -> None:
        """Give the memory of the graph back."""
        self._replay, self._shape = None, None

    def _captured(self, inputs: Tensor) -> _Replay | None:
        try:
            with torch.set_grad_enabled(self._differentiable):
                sample = inputs.clone().requires_grad_(self._differentiable)
                replay = _Replay(self._capture(self._network, sample), differentiable=self._differentiable)
        except Exception:  # noqa: BLE001 - not everything can be captured, and the network needs no graph
            replay = None
        if replay is None or not self._same(replay, inputs):
            self._fails = True
            return None
        return replay

    def _same(self, replay: _Replay, inputs: Tensor) -> bool:
        if self._differentiable:
            return alike(self._network, replay, inputs, rounding=0.0, turning=0.0)
        with torch.no_grad():
            return torch.equal(self._network(inputs), replay(inputs))


class _Replay:
    """A captured pass whose results are the caller's own.

    Args:
        call: what replays it.
        differentiable: whether it has a gradient.
    """

    def __init__(self, call: Network, *, differentiable: bool) -> None:
        self._call, self._differentiable = call, differentiable
        self.turn = 0
        """How many passes were made: a gradient belongs to the last."""

    def __call__(self, inputs: Tensor) -> Tensor:
        if not self._differentiable:
            return self.run(inputs).clone()
        logits: Tensor = _WithGradient.apply(inputs, self)
        return logits

    def run(self, inputs: Tensor) -> Tensor:
        """Logits in the graph's memory."""
        self.turn += 1
        return self._call(inputs)


class _WithGradient(torch.autograd.Function):
    """One replayed pass of a graph that has a gradient."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, replay: _Replay) -> Tensor:
        ctx.save_for_backward(inputs)
        ctx.replay = replay
        _pass(ctx, inputs)
        return ctx.logits.detach().clone()  # type: ignore[no-any-return]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (inputs,) = ctx.saved_tensors
        if ctx.turn != ctx.replay.turn:
            _pass(ctx, inputs)
        (slope,) = torch.autograd.grad(ctx.logits, ctx.leaf, gradient)
        return slope.clone(), None


def _pass(ctx: Any, inputs: Tensor) -> None:
    with torch.enable_grad():
        ctx.leaf = inputs.detach().requires_grad_()
        ctx.logits = ctx.replay.run(ctx.leaf)
    ctx.turn = ctx.replay.turn
