"""AW-Net's objective: two-teacher distillation with dynamic weights (MTARD) plus a type loss.

`L = w_adv * L_adv + w_nat * L_nat + type_weight * L_type`, where, as in the authors' code of MTARD (Zhao et al. 2022),
`L_adv = mean_{b,c} q (log(q + 1e-5) - log p_S(x'))` with `q` the robust teacher's softmax on the adversarial input,
`L_nat` likewise with the clean teacher on the clean input, and after every step, with `r_k = L_k / L_k(first step)`,
`w_nat <- w_nat - 0.025 (w_nat - r_nat / (r_nat + r_adv))`, `w_adv = 1 - w_nat`. The student's PGD attacks the
cross-entropy against the label. The overview figure of AW-Net (arXiv 2306.03430) adds the cross-entropy of the router's
type prediction; its weight is OUR CHOICE: 1. Clean batches pass the clean branch of every MixBN, adversarial ones the
adversarial branch. Without teachers (OUR CHOICE) L_nat and L_adv are cross-entropies against the label.

OUR CHOICE, since the paper's text could not be read: the router alone is trained first, by the type loss, on attacks on
the network that training starts with. From then on attacks are crafted through the adversarial branch, as the training
pass itself goes by the known type. Crafted through the soft mix, as an attacker meets the network, they evade the
router, and the type loss is at chance for a while. How a router trained on attacks that do not look at it fares against
those that do is measured after every epoch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import ClassVar, Literal, cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.core.structure import Route
from bench.models.architectures.awnet import AwNet, Backbone
from bench.models.architectures.mixbn import ADVERSARIAL, CLEAN
from bench.training.crafting import TrainingAttack
from bench.training.objectives.objective import Batch, Context, Objective
from bench.training.objectives.pgd_at import PgdAt

__all__ = ["AwNetDistillation", "AwNetWithoutTeachers", "CraftThrough", "distillation", "next_clean_weight"]

CraftThrough = Literal["adversarial branch", "soft mix"]

WEIGHT_RATE = 0.025
SMALLEST = 1e-5
START = 0.5
TYPES = 2
ROUTER_RATE = 0.1
WARM_UP_RATE = 1e-3
PGD_20 = TrainingAttack(steps=20, relative_step_size=Fraction(1, 4))


@dataclass(frozen=True, kw_only=True)
class AwNetWithoutTeachers(Objective):
    """Cross-entropies of the clean and the adversarial inputs and of the predicted type (OUR CHOICE).

    Args:
        attack: PGD on the student's cross-entropy, in evaluation mode.
        type_weight: weight of the type loss.
        craft_through: what the attack sees: the network under its adversarial branch, or mixed by the router's belief.
        warm_up_steps: batches that the router alone is trained on before everything is.
        label_smoothing: share of the targets that is spread over all classes, in [0, 1).
    """

    attack: TrainingAttack
    type_weight: float = 1.0
    craft_through: CraftThrough = "adversarial branch"
    warm_up_steps: int = 300
    label_smoothing: float = 0.0

    def rates(self, model: nn.Module) -> dict[float, Iterable[nn.Parameter]]:
        """A tenth for the router, which has no norms: at the full rate it forgets within ten steps what it knew."""
        network = cast(AwNet, model)
        return {1.0: network.backbone.parameters(), ROUTER_RATE: network.router.parameters()}

    def warm_up(self, model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], context: Context) -> None:
        """Teach the router's extractor and type head what attacks on the network of the start look like, by Adam."""
        router = cast(AwNet, model).router
        optimizer = torch.optim.Adam(router.parameters(), lr=WARM_UP_RATE)
        for inputs, labels in islice(batches, self.warm_up_steps):
            adversarial = self.craft(model, inputs, labels, context)
            loss = type_loss(router(inputs)[1], router(adversarial)[1])
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            torch.clear_autocast_cache()  # else a surrounding autocast goes on with the weights as they were
        optimizer.zero_grad(set_to_none=True)

    def craft(self, model: nn.Module, inputs: Tensor, labels: Tensor, context: Context) -> Tensor:
        """Inputs that increase the cross-entropy against the label."""
        attacked = model if self.craft_through == "soft mix" else _adversarial_branch(cast(AwNet, model))
        return PgdAt(attack=self.attack).craft(attacked, inputs, labels, context)

    def measure(self, model: nn.Module, inputs: Tensor, labels: Tensor, context: Context) -> dict[str, int]:
        """How many inputs the router names the type of: clean, attacked as in training, end to end, and steered."""

        def steered(outputs: Tensor) -> Tensor:
            loss = functional.cross_entropy(outputs[:, :-TYPES], labels, reduction="sum")
            return loss + functional.log_softmax(outputs[:, -TYPES:], dim=1)[:, CLEAN].sum()

        network = cast(AwNet, model)
        end_to_end = PgdAt(attack=PGD_20).craft(model, inputs, labels, context)
        attacked = {
            "router_training_attack": self.craft(model, inputs, labels, context),
            "router_pgd20": end_to_end,
            "router_steered": PGD_20.run(_WithTypes(network), inputs, steered, context.threat_model, context.generator),
        }
        found = {"router_clean": _called(network, inputs, CLEAN)}
        return found | {name: _called(network, points, ADVERSARIAL) for name, points in attacked.items()}

    def eligible(self, epoch: int, epochs: int) -> bool:
        """Crafted through the soft mix, the last epoch alone: PGD, which does not steer, calls the first ones the best.

        Every attack that looks at their router leads it; standing that is learnt later.
        """
        return self.craft_through != "soft mix" or epoch == epochs - 1

    def loss(self, model: nn.Module, batch: Batch, context: Context) -> Tensor:
        """Weighted clean and adversarial losses plus the type loss."""
        student = cast(AwNet, model)
        adversarial, adversarial_type = student.typed(batch.adversarial, ADVERSARIAL)
        clean, clean_type = student.typed(batch.inputs, CLEAN)
        natural, robust = self.class_losses(clean.float(), adversarial.float(), batch, context)
        return self._weighted(natural, robust, context) + self.type_weight * type_loss(clean_type, adversarial_type)

    def class_losses(self, clean: Tensor, adversarial: Tensor, batch: Batch, context: Context) -> tuple[Tensor, Tensor]:
        """`L_nat` and `L_adv` from the student's logits `(N, K)`."""
        smoothing = self.label_smoothing
        return (
            functional.cross_entropy(clean, batch.labels, label_smoothing=smoothing),
            functional.cross_entropy(adversarial, batch.labels, label_smoothing=smoothing),
        )

    def _weighted(self, natural: Tensor, robust: Tensor, context: Context) -> Tensor:
        memory = context.memory
        weight = memory.setdefault("clean_weight", torch.full_like(natural, START, requires_grad=False))
        loss = weight * natural + (1 - weight) * robust
        first_natural = memory.setdefault("first_natural", natural.detach())
        first_robust = memory.setdefault("first_robust", robust.detach())
        ratios = natural.detach() / first_natural, robust.detach() / first_robust
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
    """`mean_{b,c} q (log(q + 1e-5) - log p)` from logits `(N, K)`: KL over the batch, divided by K.

    With a hundred classes ten times that, as in the authors' code for CIFAR-100.
    """
    target = functional.softmax(teacher, dim=1)
    scale = 10.0 if teacher.shape[1] == 100 else 1.0
    return scale * (target * (torch.log(target + SMALLEST) - functional.log_softmax(student, dim=1))).mean()


def next_clean_weight(weight: Tensor, natural_ratio: Tensor, robust_ratio: Tensor) -> Tensor:
    """MTARD's update of the weight of the clean loss, towards its share of the relative losses.

    >>> next_clean_weight(torch.tensor(0.5), torch.tensor(1.0), torch.tensor(3.0))
    tensor(0.4938)
    """
    return weight - WEIGHT_RATE * (weight - natural_ratio / (natural_ratio + robust_ratio))


class _AdversarialBranch(nn.Module):
    """An AW-Net that takes every input for adversarial; its filters follow the input all the same.

    It holds the network's parts, not the network: the table of branches must not keep a network alive.
    """

    def __init__(self, model: AwNet) -> None:
        super().__init__()
        self.router = model.router
        self.backbone = model.backbone

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits `(N, num_classes)`."""
        signals, _ = self.router(inputs)
        return cast(Backbone, self.backbone)(inputs, Route(signals, ADVERSARIAL))


class _WithTypes(nn.Module):
    """An AW-Net end to end, with what it thinks of the type: logits, then the two type logits."""

    def __init__(self, model: AwNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Tensor) -> Tensor:
        """Return `(N, num_classes + 2)`."""
        signals, types = self.model.router(inputs)
        logits = self.model.routed(inputs, Route(signals, functional.softmax(types.float(), dim=1)))
        return torch.cat((logits.float(), types.float()), dim=1)


_BRANCHES: WeakKeyDictionary[nn.Module, _AdversarialBranch] = WeakKeyDictionary()


def _adversarial_branch(model: AwNet) -> nn.Module:
    """The adversarial branch of `model`, the same module as long as it lives, so that it is traced once."""
    if model not in _BRANCHES:
        _BRANCHES[model] = _AdversarialBranch(model)
    return _BRANCHES[model].train(model.training)


@torch.no_grad()
def _called(model: AwNet, inputs: Tensor, kind: int) -> int:
    """How many of `inputs` the router takes for `kind`."""
    return int((model.router(inputs)[1].argmax(dim=1) == kind).sum())


def type_loss(clean: Tensor, adversarial: Tensor) -> Tensor:
    """Half the cross-entropy of the type logits `(N, 2)` of the clean and of the adversarial inputs."""
    return 0.5 * (_type_cross_entropy(clean, CLEAN) + _type_cross_entropy(adversarial, ADVERSARIAL))


def _type_cross_entropy(logits: Tensor, kind: int) -> Tensor:
    target = torch.full((len(logits),), kind, device=logits.device)
    return functional.cross_entropy(logits.float(), target)
