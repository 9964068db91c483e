"""AW-Net's objective: two-teacher distillation with dynamic weights (MTARD) plus a type loss.

`L = w_adv * L_adv + w_nat * L_nat + type_weight * L_type`, where, as in the authors' code of MTARD (Zhao et al. 2022),
`L_adv = mean_{b,c} q (log(q + 1e-5) - log p_S(x'))` with `q` the robust teacher's softmax on the adversarial input,
`L_nat` likewise with the clean teacher on the clean input, and after every step, with `r_k = L_k / L_k(first step)`,
`w_nat <- w_nat - 0.025 (w_nat - r_nat / (r_nat + r_adv))`, `w_adv = 1 - w_nat`. The student's PGD attacks the
cross-entropy against the label. The overview figure of AW-Net (arXiv 2306.03430) adds the cross-entropy of the router's
type prediction; its weight is OUR CHOICE: 1. Clean batches pass the clean branch of every MixBN, adversarial ones the
adversarial branch. Without teachers (OUR CHOICE) L_nat and L_adv are cross-entropies against the label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.models.architectures.awnet import AwNet
from bench.models.architectures.mixbn import ADVERSARIAL, CLEAN
from bench.training.crafting import TrainingAttack
from bench.training.objectives.objective import Batch, Context, Objective
from bench.training.objectives.pgd_at import PgdAt

__all__ = ["AwNetDistillation", "AwNetWithoutTeachers", "distillation", "next_clean_weight"]

WEIGHT_RATE = 0.025
SMALLEST = 1e-5
START = 0.5


@dataclass(frozen=True, kw_only=True)
class AwNetWithoutTeachers(Objective):
    """Cross-entropies of the clean and the adversarial inputs and of the predicted type (OUR CHOICE).

    Args:
        attack: PGD on the student's cross-entropy, in evaluation mode (soft MixBN).
        type_weight: weight of the type loss.
    """

    attack: TrainingAttack
    type_weight: float = 1.0

    def craft(self, model: nn.Module, inputs: Tensor, labels: Tensor, context: Context) -> Tensor:
        """Inputs that increase the cross-entropy against the label."""
        return PgdAt(attack=self.attack).craft(model, inputs, labels, context)

    def loss(self, model: nn.Module, batch: Batch, context: Context) -> Tensor:
        """Weighted clean and adversarial losses plus the type loss."""
        student = cast(AwNet, model)
        adversarial, adversarial_type = student.typed(batch.adversarial, ADVERSARIAL)
        clean, clean_type = student.typed(batch.inputs, CLEAN)
        natural, robust = self.class_losses(clean.float(), adversarial.float(), batch, context)
        return self._weighted(natural, robust, context) + self.type_weight * type_loss(clean_type, adversarial_type)

    def class_losses(self, clean: Tensor, adversarial: Tensor, batch: Batch, context: Context) -> tuple[Tensor, Tensor]:
        """`L_nat` and `L_adv` from the student's logits `(N, K)`."""
        return functional.cross_entropy(clean, batch.labels), functional.cross_entropy(adversarial, batch.labels)

    def _weighted(self, natural: Tensor, robust: Tensor, context: Context) -> Tensor:
        memory = context.memory
        weight = memory.setdefault("clean_weight", START)
        loss = weight * natural + (1 - weight) * robust
        first_natural = memory.setdefault("first_natural", float(natural.detach()))
        first_robust = memory.setdefault("first_robust", float(robust.detach()))
        ratios = float(natural.detach()) / first_natural, float(robust.detach()) / first_robust
        memory["clean_weight"] = next_clean_weight(weight, *ratios)
        return loss


@dataclass(frozen=True, kw_only=True)
class AwNetDistillation(AwNetWithoutTeachers):
    """The same with two teachers in place of the labels: `natural` sees clean, `robust` adversarial inputs."""

    teacher_roles: ClassVar[tuple[str, ...]] = ("natural", "robust")

    def class_losses(self, clean: Tensor, adversarial: Tensor, batch: Batch, context: Context) -> tuple[Tensor, Tensor]:
        """Distillation from the natural teacher on clean and the robust teacher on adversarial inputs."""
        with torch.no_grad():
            natural = context.teachers["natural"](batch.inputs).float()
            robust = context.teachers["robust"](batch.adversarial).float()
        return distillation(natural, clean), distillation(robust, adversarial)


def distillation(teacher: Tensor, student: Tensor) -> Tensor:
    """`mean_{b,c} q (log(q + 1e-5) - log p)` from logits `(N, K)`: KL over the batch, divided by K."""
    target = functional.softmax(teacher, dim=1)
    return (target * (torch.log(target + SMALLEST) - functional.log_softmax(student, dim=1))).mean()


def next_clean_weight(weight: float, natural_ratio: float, robust_ratio: float) -> float:
    """MTARD's update of the weight of the clean loss, towards its share of the relative losses.

    >>> round(next_clean_weight(0.5, 1.0, 3.0), 5)
    0.49375
    """
    return weight - WEIGHT_RATE * (weight - natural_ratio / (natural_ratio + robust_ratio))


def type_loss(clean: Tensor, adversarial: Tensor) -> Tensor:
    """Half the cross-entropy of the type logits `(N, 2)` of the clean and of the adversarial inputs."""
    return 0.5 * (_type_cross_entropy(clean, CLEAN) + _type_cross_entropy(adversarial, ADVERSARIAL))


def _type_cross_entropy(logits: Tensor, kind: int) -> Tensor:
    target = torch.full((len(logits),), kind, device=logits.device)
    return functional.cross_entropy(logits.float(), target)
