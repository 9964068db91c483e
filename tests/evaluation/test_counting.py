"""Passes are counted, and nothing else changes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.evaluation.counting import CountingClassifier, Passes


def test_passes_are_counted_by_example() -> None:
    """Forward always; backward when a gradient reaches the logits, each time it does."""
    classifier = CountingClassifier(nn.Linear(4, 3))
    inputs = torch.rand(5, 4, requires_grad=True)
    logits = classifier(inputs)
    torch.autograd.grad(logits[:, 0].sum(), inputs, retain_graph=True)
    torch.autograd.grad(logits[:, 1].sum(), inputs)
    with torch.no_grad():
        classifier(inputs[:2])
    assert classifier.passes == Passes(forwards=7, backwards=10)
    classifier.reset()
    assert classifier.passes == Passes(0, 0)


def test_logits_and_gradients_are_the_models_own() -> None:
    """Bit for bit."""
    module = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    inputs = torch.rand(5, 4, requires_grad=True)
    own = module(inputs)
    counted = CountingClassifier(module)(inputs)
    assert counted.equal(own)
    (expected,) = torch.autograd.grad(own.square().sum(), inputs)
    (found,) = torch.autograd.grad(counted.square().sum(), inputs)
    assert found.equal(expected)


def test_what_a_structured_model_declares_is_found() -> None:
    """Adaptive attacks see its attributes; what is nowhere is an attribute error."""
    module = nn.Linear(2, 2)
    module.routes = ("a", "b")  # type: ignore[assignment]
    classifier = CountingClassifier(module)
    assert classifier.routes == ("a", "b")
    with pytest.raises(AttributeError, match="no_such"):
        _ = classifier.no_such


def test_the_models_mode_is_left_alone() -> None:
    """Wrapping changes nothing in the module."""
    module = nn.Linear(2, 2).train()
    assert not CountingClassifier(module).training and module.training
