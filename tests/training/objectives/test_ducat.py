from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from bench.models.architectures.ducat import Ducat
from bench.training.objectives.ducat import DummyClasses, two_hot
from bench.training.objectives.mart import Mart, strongest_wrong_class
from bench.training.objectives.pgd_at import PgdAt
from bench.training.objectives.trades import Trades, kl_to_clean
from bench.training.scales import FEW_STEPS, FEW_STEPS_NEAR

CLASSES = 2
BASES = (PgdAt(attack=FEW_STEPS), Trades(attack=FEW_STEPS_NEAR), Mart(attack=FEW_STEPS_NEAR))


@pytest.fixture
def pairs(linear) -> Ducat:
    """A linear classifier whose four outputs are two classes and their dummies."""
    return Ducat(linear, CLASSES)


@pytest.fixture
def two_classes(batch):
    return batch._replace(labels=batch.labels % CLASSES)


def test_targets_are_two_hot():
    """A clean target is 0.75 on the class and 0.25 on its dummy; an adversarial one is the dummy alone."""
    labels = torch.tensor([0, 2])
    assert two_hot(labels, 3, 0.25).tolist() == [[0.75, 0, 0, 0.25, 0, 0], [0, 0, 0.75, 0, 0, 0.25]]
    assert two_hot(labels, 3, 1.0).tolist() == [[0, 0, 0, 1, 0, 0], [0, 0, 0, 0, 0, 1]]
    assert DummyClasses(base=BASES[0]).clean_share == 0.25
    assert DummyClasses(base=BASES[0]).adversarial_share == 1.0


def test_recovered_decision_is_the_arg_max_of_all_logits_less_c(pairs, batch):
    """The model answers with the class of the largest of its 2C raw logits, dummy or not."""
    winners = pairs.raw(batch.inputs).argmax(1)
    assert torch.equal(pairs(batch.inputs).argmax(1), winners % CLASSES)
    assert (winners >= CLASSES).any() and (winners < CLASSES).any()


def test_cross_entropy_of_two_hot_targets_is_the_formula(pairs, two_classes, make_context):
    """The loss is half the clean and half the adversarial cross-entropy over 2C classes, computed in float64."""
    weight, bias = (value.detach().double().numpy() for value in pairs.parameters())
    terms = []
    for inputs, shares in ((two_classes.inputs, (0.75, 0.25)), (two_classes.adversarial, (0.0, 1.0))):
        for vector, label in zip(inputs.double().flatten(1).numpy(), two_classes.labels.tolist(), strict=True):
            logits = weight @ vector + bias
            log_probabilities = logits - np.log(np.exp(logits).sum())
            terms.append(-shares[0] * log_probabilities[label] - shares[1] * log_probabilities[label + CLASSES])
    objective = DummyClasses(base=PgdAt(attack=FEW_STEPS))
    loss = objective.loss(pairs, two_classes, make_context(epoch=8.0, epochs=10))
    assert loss.item() == pytest.approx(np.mean(terms), rel=1e-5)


def test_base_regularisers_are_added_over_all_logits(pairs, two_classes, make_context):
    """TRADES adds 6 times its divergence, MART its margin and weighted divergence, over 2C classes."""
    context = make_context(epoch=8.0, epochs=10)
    plain, trades, mart = (DummyClasses(base=base).loss(pairs, two_classes, context) for base in BASES)
    clean, adversarial = pairs.raw(two_classes.inputs), pairs.raw(two_classes.adversarial)
    torch.testing.assert_close(trades - plain, 6 * kl_to_clean(clean, adversarial))
    torch.testing.assert_close(mart - plain, BASES[2].regularizer(clean, adversarial, two_classes.labels))


def test_mart_sees_the_own_dummy_as_a_wrong_class():
    """For MART over 2C classes, the strongest wrong class of an example may be its own dummy."""
    logits = torch.tensor([[1.0, 0.0, 3.0, 0.0]])
    found = strongest_wrong_class(logits, torch.tensor([0]))
    torch.testing.assert_close(found, -torch.log(1.0001 - functional.softmax(logits, dim=1)[0, 2]))


@pytest.mark.parametrize("base", BASES)
def test_first_stage_is_the_base_objective_on_raw_logits(base, pairs, two_classes, make_context):
    """Before four fifths of training, the loss is the base objective's with labels below C, over 2C classes."""
    context = make_context(epoch=7.99, epochs=10)
    assert torch.equal(
        DummyClasses(base=base).loss(pairs, two_classes, context), base.loss(pairs.backbone, two_classes, context)
    )


def test_dummy_targets_start_with_epoch_105_of_130(pairs, two_classes, make_context):
    """As in the authors' code, 104 epochs of 130 pass before the dummy targets, and the last epoch is kept."""
    objective = DummyClasses(base=PgdAt(attack=FEW_STEPS))
    losses = [
        objective.loss(pairs, two_classes, make_context(epoch=epoch, epochs=130)).item() for epoch in (103.9, 104.0)
    ]
    assert losses[0] != losses[1]
    assert [objective.eligible(epoch, 130) for epoch in (104, 128, 129)] == [False, False, True]


@pytest.mark.parametrize("base", BASES[::2])
def test_training_attack_ascends_the_real_label_over_all_logits(base, pairs, two_classes, make_context):
    """The attack raises -log p_y over 2C classes, without a word on dummies, as the authors' does."""
    inputs, labels = two_classes.inputs, two_classes.labels
    moved = DummyClasses(base=base).craft(pairs, inputs, labels, make_context())

    def likelihood(images: torch.Tensor) -> torch.Tensor:
        return functional.log_softmax(pairs.raw(images), dim=1).gather(1, labels[:, None])

    assert (likelihood(moved) < likelihood(inputs)).all()
    expected = base.craft(RawLogits(pairs), inputs, labels, make_context())
    assert torch.equal(moved, expected)


def test_attack_runs_in_evaluation_mode_and_hands_the_model_back(make_model, batch, make_context):
    """Crafting moves no running statistic and leaves model and backbone in training mode with gradients on."""
    model = make_model("ducat")
    before = {name: value.clone() for name, value in model.named_buffers()}
    DummyClasses(base=BASES[0]).craft(model, batch.inputs, batch.labels, make_context())
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers())
    assert all(module.training for module in model.modules())
    assert all(parameter.requires_grad for parameter in model.parameters())


class RawLogits(nn.Module):
    """The `raw` method of a model as a module."""

    def __init__(self, model: Ducat) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.model.raw(inputs)
