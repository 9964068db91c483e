"""The probe: what is no deterministic classifier is refused before anything is measured."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.models.answers import check_answers

INPUTS = torch.linspace(0, 1, 4 * 2 * 3 * 3).reshape(4, 2, 3, 3)


class _Net(nn.Module):
    """A linear classifier whose logits are changed by a function."""

    def __init__(self, change=lambda logits: logits, num_classes: int = 5) -> None:
        super().__init__()
        self.weight = torch.linspace(-1, 1, 18 * num_classes).reshape(18, num_classes).sin()
        self.change = change

    def forward(self, inputs):
        return self.change(inputs.flatten(1) @ self.weight)


def _probe(module: nn.Module, inputs=INPUTS) -> None:
    check_answers(module.eval(), inputs, num_classes=5, name="net.py:make", dataset="digits")


def test_a_classifier_passes():
    """A plain classifier passes, and so does one that returns logarithms of probabilities."""
    _probe(_Net())
    _probe(_Net(lambda logits: logits.log_softmax(1)))


def test_the_random_state_is_left_as_it_was(refused):
    """A probe changes no random number that is drawn later, even when the model draws some."""
    before = torch.get_rng_state()
    refused(lambda: _probe(_Net(lambda logits: logits + torch.randn_like(logits))), "stochastic")
    assert torch.equal(torch.get_rng_state(), before)


def _raise(_):
    raise RuntimeError("mat1 and mat2 do not fit\nand a second line")


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        (lambda z: z.softmax(1), ("probabilities", "softmax")),
        (lambda z: (z, z), ("tuple",)),
        (lambda z: {"logits": z}, ("dict",)),
        (lambda z: z[:, :4], ("5 logits", "digits", "got 4")),
        (lambda z: torch.cat([z, z], 1), ("5 logits", "got 10")),
        (lambda z: z[:, :, None, None], ("(4, 5, 1, 1)",)),
        (lambda z: z[0], ("(5,)",)),
        (lambda z: z.to_sparse(), ("sparse float32",)),
        (lambda z: z.argmax(1), ("int64",)),
        (lambda z: z.long(), ("int64",)),
        (lambda z: z / (z - z), ("NaN or infinity",)),
        (lambda z: z - z.mean(0), ("alone",)),
        (lambda z: z + torch.rand(1), ("stochastic",)),
        (_raise, ("mat1 and mat2 do not fit", "(4, 2, 3, 3)")),
    ],
)
def test_other_answers_are_refused(refused, change, texts):
    """Whatever is no logits of its own image is refused in one line that names the model."""
    refused(lambda: _probe(_Net(change)), "'net.py:make'", *texts)


def test_batch_normalisation_left_in_training_mode_is_noticed(refused):
    """A model whose logits depend on the rest of the batch is refused, though it is in eval mode."""
    norm = nn.Sequential(nn.Flatten(), nn.Linear(18, 5), nn.BatchNorm1d(5, track_running_stats=False))
    refused(lambda: _probe(norm), "net.py:make")
