"""What an evaluation refuses before any attack runs."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.core.errors import BenchError
from bench.core.types import Examples, ThreatModel
from bench.evaluation import evaluate


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda it: it[:0], "at least one example"),
        (lambda it: Examples(inputs=it.inputs * 255, labels=it.labels, indices=it.indices), r"in \[0, 1\]"),
        (lambda it: Examples(inputs=it.inputs.double(), labels=it.labels, indices=it.indices), "float32"),
        (lambda it: Examples(inputs=it.inputs, labels=it.labels + 9, indices=it.indices), "class for every label"),
        (lambda it: Examples(inputs=it.inputs, labels=it.labels - 5, indices=it.indices), "from 0"),
        (lambda it: Examples(inputs=it.inputs, labels=it.labels, indices=it.indices * 0), "own index"),
    ],
)
def test_examples_that_are_none_are_refused(
    linear: nn.Module, examples: Examples, gradient_suite: Any, threat_model: ThreatModel, change: Any, message: str
) -> None:
    """In one line, before any attack runs."""
    with pytest.raises(BenchError, match=message) as caught:
        evaluate(linear, change(examples), threat_model=threat_model, suite=gradient_suite)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (lambda logits: logits.softmax(1), "probabilities"),
        (lambda logits: (logits, logits), "got a tuple"),
        (lambda logits: logits[:, :, None], "got \\(64, 2, 1\\)"),
        (lambda logits: logits[:3], "logits \\(64, num_classes\\)"),
        (lambda logits: logits + torch.rand_like(logits), "different logits"),
    ],
)
def test_models_that_give_no_logits_are_refused(
    linear: nn.Module, examples: Examples, gradient_suite: Any, threat_model: ThreatModel, wrap: Any, message: str
) -> None:
    """Probabilities, tuples, other shapes and noise, each by name."""

    class Wrapped(nn.Module):
        def forward(self, inputs: Tensor) -> Any:
            return wrap(linear(inputs))

    with pytest.raises(BenchError, match=message):
        evaluate(Wrapped(), examples, threat_model=threat_model, suite=gradient_suite)


def test_a_norm_that_an_attack_does_not_know_is_refused(linear: nn.Module, examples: Examples, make: Any) -> None:
    """Before anything runs, with the norms that it knows."""
    from bench.attacks.carlini_wagner_l2 import CarliniWagnerL2

    with pytest.raises(BenchError, match="carlini-wagner-l2 does not know the norm Linf, only L2"):
        evaluate(linear, examples, threat_model="Linf:8/255", suite=make["suite"](CarliniWagnerL2()))
