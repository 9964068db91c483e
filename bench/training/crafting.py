"""The attack that runs inside training: few steps, whole batch, on the model as an attacker meets it.

It differs from `bench.attacks` on purpose: it returns the last iterate, as adversarial training defines it, keeps
the precision of the surrounding autocast, and draws from the step's generator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from bench.acceleration import Folded
from bench.core.types import Norm, ThreatModel
from bench.ops import norms, projections

__all__ = ["N_FGSM", "TrainingAttack", "as_attacked"]

GAUSSIAN_START = 0.001
# Tracing a network takes longer than a step of a small one: each is traced once, as long as it lives.
_FORMS: WeakKeyDictionary[nn.Module, Folded | None] = WeakKeyDictionary()


@dataclass(frozen=True, kw_only=True)
class TrainingAttack:
    """Projected gradient ascent on a loss.

    Args:
        steps: number of steps.
        relative_step_size: step size as a fraction of epsilon.
        start: `uniform` in the ball (for L2, a random direction and radius), or `gaussian`
            with standard deviation 0.001 as in TRADES.
        start_radius: of the ball of the uniform start, as a multiple of epsilon.
        in_ball: whether every iterate is projected into the ball of radius epsilon; all are clipped to [0, 1].
    """

    steps: int
    relative_step_size: Fraction
    start: str = "uniform"
    start_radius: Fraction = Fraction(1)
    in_ball: bool = True

    def run(
        self,
        model: nn.Module,
        inputs: Tensor,
        loss: Callable[[Tensor], Tensor],
        threat_model: ThreatModel,
        generator: torch.Generator,
    ) -> Tensor:
        """Return the last iterate `(N, C, H, W)`, in [0, 1], and in the ball around `inputs` where `in_ball` says so.

        Args:
            model: attacked in evaluation mode with frozen parameters, handed back as it was.
            inputs: `(N, C, H, W)`, in [0, 1].
            loss: maps logits to the scalar to increase.
            threat_model: norm and radius of the ball.
            generator: source of the random start.
        """
        with as_attacked(model) as network:
            moved = self._allowed(inputs + self._start(inputs, threat_model, generator), inputs, threat_model)
            for _ in range(self.steps):
                moved = self._step(network, moved, inputs, loss, threat_model)
        return moved

    def _step(
        self,
        model: nn.Module,
        moved: Tensor,
        inputs: Tensor,
        loss: Callable[[Tensor], Tensor],
        threat_model: ThreatModel,
    ) -> Tensor:
        moved = moved.detach().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(loss(model(moved).float()), moved)
        size = float(self.relative_step_size * threat_model.epsilon)
        moved = moved.detach() + size * norms.direction(gradient, threat_model.norm)
        return self._allowed(moved, inputs, threat_model)

    def _allowed(self, moved: Tensor, inputs: Tensor, threat_model: ThreatModel) -> Tensor:
        return projections.project(moved, inputs, threat_model) if self.in_ball else moved.clamp(0, 1)

    def _start(self, inputs: Tensor, threat_model: ThreatModel, generator: torch.Generator) -> Tensor:
        if self.start == "gaussian":
            return GAUSSIAN_START * torch.randn(inputs.shape, generator=generator, device=inputs.device)
        if self.start != "uniform":
            raise ValueError(f"Expected `start` to be 'uniform' or 'gaussian', but got {self.start!r}.")
        radius = float(self.start_radius * threat_model.epsilon)
        if threat_model.norm is Norm.LINF:
            return (2 * torch.rand(inputs.shape, generator=generator, device=inputs.device) - 1) * radius
        direction = torch.randn(inputs.shape, generator=generator, device=inputs.device)
        length = torch.rand((len(inputs), 1, 1, 1), generator=generator, device=inputs.device)
        return norms.direction(direction, Norm.L2) * length * radius


N_FGSM = TrainingAttack(steps=1, relative_step_size=Fraction(1), start_radius=Fraction(2), in_ball=False)
"""One step of epsilon from noise of twice epsilon, not projected (de Jorge et al. 2022, arXiv 2202.01547)."""


@contextmanager
def as_attacked(model: nn.Module) -> Iterator[nn.Module]:
    """Hold `model` in evaluation mode with frozen parameters, then put both back.

    Yields:
        The network to attack: the same function up to rounding, with batch norms folded away where that is possible.
    """
    was_training = model.training
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.eval()
    for parameter in learned:
        parameter.requires_grad_(False)
    try:
        yield _folded(model)
    finally:
        for parameter in learned:
            parameter.requires_grad_(True)
        model.train(was_training)


def _folded(model: nn.Module) -> nn.Module:
    if model not in _FORMS:
        _FORMS[model] = Folded.of(model)
    form = _FORMS[model]
    return model if form is None else form.refreshed()
