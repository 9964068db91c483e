"""Tests of the losses against arithmetic by hand."""

from __future__ import annotations

import torch

from bench.ops import losses

LOGITS = torch.tensor([[4.0, 1.0, 3.0, -2.0], [0.0, 2.0, 5.0, 1.0]])
LABELS = torch.tensor([0, 1])


def test_margin_is_own_logit_minus_best_other():
    """The margin is positive where the example is right and negative where it is wrong."""
    assert losses.margin(LOGITS, LABELS).tolist() == [1.0, -3.0]


def test_targeted_dlr_matches_its_equation():
    """Targeted DLR compares with one class, over the first logit less the mean of third and fourth."""
    targets = torch.tensor([2, 0])
    expected = torch.tensor([-(4 - 3) / (4 - (1 - 2) / 2), -(2 - 0) / (5 - (1 + 0) / 2)])
    torch.testing.assert_close(losses.targeted_dlr(LOGITS, LABELS, targets), expected)


def test_targeted_dlr_ignores_shift_and_scale_of_the_logits():
    """It sees neither a shift nor a positive scale of the logits."""
    targets = LABELS.flip(0)
    found = losses.targeted_dlr(100 * LOGITS - 7, LABELS, targets)
    torch.testing.assert_close(found, losses.targeted_dlr(LOGITS, LABELS, targets))


def test_cross_entropy_is_minus_log_probability():
    """Cross-entropy is minus the logarithm of the label's softmax."""
    expected = -LOGITS.softmax(1)[[0, 1], LABELS].log()
    torch.testing.assert_close(losses.cross_entropy(LOGITS, LABELS), expected)
