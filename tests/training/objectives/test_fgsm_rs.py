from __future__ import annotations

import torch
from torch.nn import functional

from bench.training.objectives.fgsm_rs import FgsmRs

EPSILON = 0.1


def test_one_step_of_ten_255ths_from_a_uniform_start(linear, batch, make_context):
    """The image is clip(start + 1.25 epsilon sign(gradient at the start)), as in the paper's algorithm 3."""
    inputs = 0.5 + 0.1 * (batch.inputs - 0.5)  # the range [0, 1] is out of reach
    moved = FgsmRs().craft(linear, inputs, batch.labels, make_context()) - inputs
    delta = EPSILON * (2 * torch.rand(inputs.shape, generator=make_context().generator) - 1)
    at_start = (inputs + delta).requires_grad_()
    (gradient,) = torch.autograd.grad(functional.cross_entropy(linear(at_start), batch.labels), at_start)
    expected = (delta + 1.25 * EPSILON * gradient.sign()).clamp(-EPSILON, EPSILON)
    torch.testing.assert_close(moved, expected, rtol=0, atol=1e-6)
    assert (moved.abs() < EPSILON - 1e-4).any()  # one large step does not reach the bound everywhere
