"""Replayed passes. A stand-in on the CPU keeps a CUDA graph's memory habits: every replay overwrites its results."""

from __future__ import annotations

import copy
from fractions import Fraction

import pytest
import torch
from torch import Tensor, nn

from bench.acceleration import cuda_graphs as replayed_module
from bench.acceleration.cuda_graphs import PATIENCE, GraphReplay
from bench.acceleration.forms import inference_form, low_form
from bench.attacks.autoattack import ApgdCe, ApgdT, FabT, Square
from bench.core.types import Norm, ThreatModel
from bench.ops.full_float32 import full_float32

TRIALS = 1
"""Replays of a new graph before it is in use."""


class Graph(torch.autograd.Function):
    """Static input, output and gradient; what a replay needs backwards is that of the last replay forwards."""

    @staticmethod
    def forward(ctx, inputs, memory):
        ctx.memory = memory
        memory.sample.data.copy_(inputs)
        with torch.enable_grad():
            memory.computed = memory.network(memory.sample)
        memory.logits.copy_(memory.computed.detach())
        return memory.logits.detach()

    @staticmethod
    def backward(ctx, gradient):
        memory = ctx.memory
        (slope,) = torch.autograd.grad(memory.computed, memory.sample, gradient, retain_graph=True)
        memory.slope.copy_(slope)
        return memory.slope.detach(), None


class Memory:
    """What one captured pass owns."""

    def __init__(self, network, sample: Tensor) -> None:
        self.network, self.sample = network, sample
        self.logits, self.slope = network(sample).detach().clone(), torch.zeros_like(sample)
        self.computed = self.logits


class Captures:
    """Captures like CUDA does, and remembers of which sizes and kinds."""

    def __init__(self, fault=None) -> None:
        self.fault, self.made, self.replays = fault, [], 0

    def __call__(self, network, sample):
        self.made.append((len(sample), sample.requires_grad))
        if self.fault == "refuses":
            raise RuntimeError("operation not permitted when stream is capturing")
        memory = Memory(network, sample)

        def replay(inputs):
            self.replays += 1
            logits = Graph.apply(inputs, memory)
            return logits * {"wrong": 2, "rounds otherwise": 1 + 2**-22}.get(self.fault, 1)

        return replay


def slope(network, inputs: Tensor) -> Tensor:
    leaf = inputs.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(network(leaf)[:, 0].sum(), leaf)
    return gradient


def test_a_size_that_comes_again_is_replayed_with_the_same_results(net, digits) -> None:
    """Passes alone and with a gradient, each from its own graph, and equal to the network's."""
    captures = Captures()
    replayed = GraphReplay(net, capture=captures)
    for number in range(PATIENCE + 3):
        inputs = digits.inputs[number : number + 20]
        with torch.no_grad():
            assert torch.equal(replayed(inputs), net(inputs))
        assert torch.equal(slope(replayed, inputs), slope(net, inputs))
    assert captures.made == [(20, False), (20, True)]
    assert captures.replays > 2 * TRIALS


def test_a_size_that_seldom_comes_is_not_captured(net, digits) -> None:
    """A capture costs several passes, so it waits until a size has come often enough in a row."""
    captures = Captures()
    replayed = GraphReplay(net, capture=captures)
    for size in (20, 20, 10, 20, 20, 10):
        replayed(digits.inputs[:size])
    assert captures.made == []
    replayed(digits.inputs[10:20])
    replayed(digits.inputs[:10])
    assert captures.made == [(10, False)]


def test_results_are_the_callers_own(net, digits) -> None:
    """Logits and gradients that are kept do not change when the graph's memory is written again."""
    captures = Captures()
    replayed = GraphReplay(net, capture=captures)
    for _ in range(PATIENCE + 1):
        slope(replayed, digits.inputs[:20])
        replayed(digits.inputs[:20])
    assert captures.replays > 2 * TRIALS
    leaf = digits.inputs[:20].clone().requires_grad_()
    kept = [replayed(digits.inputs[:20]), slope(replayed, digits.inputs[:20]), replayed(leaf).detach()]
    before = [each.clone() for each in kept]
    replayed(digits.inputs[20:40])
    slope(replayed, digits.inputs[20:40])
    assert all(torch.equal(*pair) for pair in zip(kept, before, strict=True))


def test_a_gradient_belongs_to_its_own_pass(net, digits) -> None:
    """Two passes first and their gradients after: the first is not taken with what the second left behind."""
    captures = Captures()
    replayed = GraphReplay(net, capture=captures)
    for _ in range(PATIENCE):
        slope(replayed, digits.inputs[:20])
    assert captures.replays > TRIALS
    first, second = (digits.inputs[start : start + 20].clone().requires_grad_() for start in (0, 20))
    gradients = torch.autograd.grad(replayed(first)[:, 0].sum() + replayed(second)[:, 0].sum(), (first, second))
    assert captures.made == [(20, True)]
    for gradient, inputs in zip(gradients, (first, second), strict=True):
        torch.testing.assert_close(gradient, slope(net, inputs.detach()))


@pytest.mark.parametrize("fault", ["refuses", "wrong", "rounds otherwise"])
def test_a_graph_that_fails_or_differs_in_a_bit_is_not_used(net, digits, fault) -> None:
    """The network answers instead, and the same is not tried again: no result tells which passes were replayed."""
    captures = Captures(fault)
    replayed = GraphReplay(net, capture=captures)
    for _ in range(2):
        for _ in range(PATIENCE + 1):
            assert torch.equal(replayed(digits.inputs[:20]), net(digits.inputs[:20]))
            assert torch.equal(slope(replayed, digits.inputs[:20]), slope(net, digits.inputs[:20]))
        replayed(digits.inputs[:1])
    assert captures.made == [(20, False), (20, True)]


def test_a_large_batch_is_not_captured(net, digits, monkeypatch) -> None:
    """How large is a matter of its values, not of the clock."""
    monkeypatch.setattr(replayed_module, "MOST_VALUES", 20 * digits.inputs[0].numel())
    captures = Captures()
    replayed = GraphReplay(net, capture=captures)
    for size in (21, 20, 30, 10):
        for _ in range(PATIENCE):
            replayed(digits.inputs[:size])
    assert captures.made == [(20, False), (10, False)]


class Hungry(nn.Module):
    """Runs out of memory on more than 20 inputs."""

    def forward(self, inputs: Tensor) -> Tensor:
        if len(inputs) > 20:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return inputs.flatten(1)[:, :10]


def test_memory_that_runs_out_takes_the_graphs_with_it(digits) -> None:
    """What a graph holds is free for the smaller batch that is tried next."""
    captures = Captures()
    replayed = GraphReplay(
        Hungry(), capture=lambda _, sample: captures(lambda inputs: inputs.flatten(1)[:, :10], sample)
    )
    for _ in range(PATIENCE):
        slope(replayed, digits.inputs[:20])
    with pytest.raises(torch.OutOfMemoryError), torch.no_grad():
        replayed(digits.inputs[:30])
    assert captures.replays > TRIALS
    replays = captures.replays
    slope(replayed, digits.inputs[:20])
    assert captures.replays == replays


@pytest.mark.parametrize("stage", [ApgdCe, ApgdT, FabT, Square], ids=lambda each: each.__name__)
def test_every_stage_finds_the_same_points_on_replays(net, digits, stage) -> None:
    """Step after step on static memory, with sizes that change as examples break."""
    captures = Captures()
    short = stage(engine="fast", **({"queries": 40} if stage is Square else {"steps": 20}))
    threat_model = ThreatModel(norm=Norm.LINF, epsilon=Fraction(1, 10))
    expected = short.perturb(net, digits, threat_model, seed=0)
    found = short.perturb(GraphReplay(net, capture=captures), digits, threat_model, seed=0)
    assert captures.replays > TRIALS * len(captures.made)
    assert torch.equal(found, expected)


def test_on_the_cpu_there_are_no_replays(net, digits) -> None:
    """A CPU has nothing to launch."""
    assert not isinstance(inference_form(net, digits.inputs[:4]), GraphReplay)


@pytest.mark.gpu
@pytest.mark.parametrize("make", [inference_form, low_form])
def test_a_gpu_replays_what_it_computes(net, digits, make) -> None:
    """Real graphs, many sizes: logits and gradients stay those of the form, and some size is captured."""
    inputs = digits.inputs.cuda()
    with full_float32():
        form = make(copy.deepcopy(net).cuda(), inputs[:8])
        assert isinstance(form, GraphReplay)
        used = False
        for size in (60, 60, 31, 7):
            for start in range(PATIENCE + 2):
                chosen = inputs.roll(start, 0)[:size]
                with torch.no_grad():
                    torch.testing.assert_close(form(chosen), form.network(chosen), rtol=0.02, atol=0.02)
                torch.testing.assert_close(slope(form, chosen), slope(form.network, chosen), rtol=0.02, atol=0.02)
            used |= any(kind._replay is not None for kind in form._kinds.values())
    assert used
