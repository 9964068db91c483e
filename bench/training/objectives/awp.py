"""Adversarial weight perturbation (AWP) around any objective: `min_w max_v L(w + v)`, `||v_l|| <= gamma ||w_l||`.

Wu, Xia, Wang 2020 (arXiv 2004.05884), algorithm 1, with one step of the weight adversary as in the authors' code:

1. craft `x'` on the unperturbed model;
2. `g = grad_w L(w)` on `x'`, in training mode, without a trace in the running statistics;
3. for every convolution and linear weight `l`, and nothing else, `v_l = gamma ||w_l|| g_l / ||g_l||` (Frobenius norms
   of the whole tensor); `w <- w + v`;
4. one optimiser step on `L(w + v)`, whose forward pass updates the running statistics and whose weight decay sees the
   perturbed weights;
5. `w <- w - v`.

The authors take step 2 on a copy of the model, by plain SGD; the size of that step cancels in step 3. Here the gradient
is taken on the model itself and its buffers are put back, which gives the same `v` without a copy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from bench.training.objectives.objective import Batch, Context, Objective

__all__ = ["AdversarialWeights", "perturbable"]

SMALLEST_NORM = 1e-20


@dataclass(frozen=True, kw_only=True)
class AdversarialWeights(Objective):
    """`base`, minimised at adversarially perturbed weights.

    Args:
        base: the objective that both players play for.
        gamma: norm of the perturbation of a weight, relative to the norm of that weight; 0.01 in AT-AWP,
            0.005 in TRADES-AWP.
        warmup: share of training before the first perturbation, in [0, 1].
    """

    base: Objective
    gamma: float
    warmup: float = 0.0

    def rates(self, model: nn.Module) -> dict[float, Iterable[nn.Parameter]]:
        """Those of `base`."""
        return self.base.rates(model)

    def warm_up(self, model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], context: Context) -> None:
        """What `base` trains first, on the unperturbed weights."""
        self.base.warm_up(model, batches, context)

    def measure(self, model: nn.Module, inputs: Tensor, labels: Tensor, context: Context) -> dict[str, int]:
        """What `base` measures."""
        return self.base.measure(model, inputs, labels, context)

    def craft(self, model: nn.Module, inputs: Tensor, labels: Tensor, context: Context) -> Tensor:
        """What `base` crafts, on the unperturbed weights."""
        return self.base.craft(model, inputs, labels, context)

    def loss(self, model: nn.Module, batch: Batch, context: Context) -> Tensor:
        """The loss of `base`."""
        return self.base.loss(model, batch, context)

    def eligible(self, epoch: int, epochs: int) -> bool:
        """Whether `base` is in its final form after that epoch."""
        return self.base.eligible(epoch, epochs)

    @contextmanager
    def perturbed_weights(self, model: nn.Module, batch: Batch, context: Context) -> Iterator[None]:
        """Move the weights to where the loss of `base` is larger, and back by the same amount at the end."""
        if context.epoch < self.warmup * context.epochs:
            yield
            return
        weights = perturbable(model)
        moves = self._moves(model, weights, batch, context)
        _add(weights, moves, 1.0)
        try:
            yield
        finally:
            _add(weights, moves, -1.0)

    def _moves(self, model: nn.Module, weights: Sequence[Tensor], batch: Batch, context: Context) -> tuple[Tensor, ...]:
        trial = replace(context, memory=dict(context.memory))
        with _buffers_kept(model):
            loss = self.base.loss(model, batch, trial)
            gradients = torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True)
        return tuple(
            self.gamma * _norm(weight.detach()) / (_norm(gradient) + SMALLEST_NORM) * gradient
            for weight, gradient in zip(weights, gradients, strict=True)
        )


def perturbable(model: nn.Module) -> list[Tensor]:
    """The weights that AWP moves: of convolutions and linear layers, neither biases nor normalisations."""
    return [module.weight for module in model.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]


def _norm(tensor: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(tensor)
    return norm


@torch.no_grad()
def _add(weights: Sequence[Tensor], moves: Sequence[Tensor], sign: float) -> None:
    for weight, move in zip(weights, moves, strict=True):
        weight.add_(move, alpha=sign)
    torch.clear_autocast_cache()  # else a surrounding autocast goes on with its copies of the weights as they were


@contextmanager
def _buffers_kept(model: nn.Module) -> Iterator[None]:
    kept = [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        for buffer, value in kept:
            buffer.copy_(value)
