"""What an evaluation refuses before any attack runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.attacks.adaptive import AdaptivePairs
from bench.core.errors import BenchError
from bench.core.types import Examples, ThreatModel
from bench.evaluation import evaluate
from bench.suites.suite import Rule


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda it: it[:0], "at least one example"),
        (lambda it: Examples(inputs=it.inputs * 255, labels=it.labels, indices=it.indices), r"in \[0, 1\]"),
        (lambda it: Examples(inputs=it.inputs.double(), labels=it.labels, indices=it.indices), "float32"),
        (lambda it: Examples(inputs=it.inputs, labels=it.labels + 9, indices=it.indices), "class for every label"),
        (lambda it: Examples(inputs=it.inputs, labels=it.labels - 5, indices=it.indices), "from 0"),
        (lambda it: Examples(inputs=it.inputs, labels=it.labels, indices=it.indices * 0), "own index"),
        (
            lambda it: Examples(inputs=it.inputs, labels=it.labels.int(), indices=it.indices),
            "labels of type int64.*int32",
        ),
        (lambda it: Examples(inputs=it.inputs, labels=it.labels, indices=it.indices.int()), "indices of type int64"),
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


@pytest.mark.parametrize(("asked", "size"), [("L1:16", "16, the sum"), ("L2:4", "4, the la"), ("L2:128", "4, the la")])
def test_a_ball_that_holds_the_box_is_refused(
    linear: nn.Module, examples: Examples, gradient_suite: Any, asked: str, size: str
) -> None:
    """As 128 instead of 128/255 asks for: images of 1 x 4 x 4, of which any can become any other."""
    with pytest.raises(BenchError, match=f"Expected an {asked[:2]} epsilon below {size}.*but got {asked[3:]}"):
        evaluate(linear, examples, threat_model=asked, suite=gradient_suite)


def test_a_norm_that_only_the_models_structure_asks_for_is_refused_at_once(
    linear: nn.Module, examples: Examples, gradient_suite: Any, tmp_path: Path
) -> None:
    """No hours pass before the attacks on dummy classes begin, which do not know it."""

    class Paired(nn.Module):
        def raw(self, inputs: Tensor) -> Tensor:
            return torch.cat((linear(inputs), linear(inputs) - 9), dim=1)

        def forward(self, inputs: Tensor) -> Tensor:
            return torch.maximum(*self.raw(inputs).chunk(2, dim=1))

    rules = (Rule(structure="raw-pairs", attacks=(AdaptivePairs(),)),)
    suite = replace(gradient_suite, extends=gradient_suite, rules=rules)
    with pytest.raises(BenchError, match="adaptive-pairs does not know the norm L1"):
        evaluate(Paired(), examples, threat_model="L1:1", suite=suite, journal=tmp_path / "journal")
    assert not (tmp_path / "journal").exists()
