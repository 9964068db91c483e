from __future__ import annotations

import pytest
import torch
from pyautoattack.fab_pt import FABAttack_PT

from bench.attacks.autoattack import FabT
from bench.core.types import Norm, ThreatModel

GENTLE = {Norm.LINF: ThreatModel.parse("Linf:1/500"), Norm.L2: ThreatModel.parse("L2:1/100")}


@pytest.mark.parametrize("norm", [Norm.LINF, Norm.L2])
def test_iterates_are_those_of_the_reference(net, digits, record, norm) -> None:
    """FAB-T evaluates the same points as pyautoattack's, target by target, for 15 iterations."""
    threat_model, steps = GENTLE[norm], 15
    examples = digits[net(digits.inputs).argmax(1) == digits.labels]
    ours = record(net)
    FabT(engine="fast", steps=steps, targets=2).perturb(ours, examples, threat_model, seed=0)
    for number in range(2):
        visited = ours.seen[1 + number * (2 * steps + 1) :][: 2 * steps]
        theirs = record(net)
        reference = FABAttack_PT(theirs, norm=str(norm), n_iter=steps, eps=float(threat_model.epsilon), targeted=True)
        reference.target_class = number + 2
        reference.attack_single_run(examples.inputs, examples.labels, is_targeted=True)
        gaps = torch.stack(
            [(a - b).abs().flatten(1).amax(1) for a, b in zip(visited, theirs.seen[2:], strict=True)]
        )  # after their two clean passes
        assert gaps[:6].max() < 1e-4
        assert (gaps.amax(0) < 1e-3).float().mean() >= 0.9


@pytest.mark.parametrize("norm", [Norm.LINF, Norm.L2])
def test_the_returned_point_lies_inside_the_ball(net, digits, norm) -> None:
    """Whatever FAB walks through, what it returns is a point that the threat model allows."""
    threat_model = {Norm.LINF: ThreatModel.parse("Linf:1/20"), Norm.L2: ThreatModel.parse("L2:1/4")}[norm]
    found = FabT(engine="fast", steps=20).perturb(net, digits, threat_model, seed=0)
    order = float("inf") if norm is Norm.LINF else 2
    distance = torch.linalg.vector_norm((found - digits.inputs).flatten(1), ord=order, dim=1)
    assert distance.max() <= float(threat_model.epsilon) * (1 + 1e-6)
    assert found.min() >= 0
    assert found.max() <= 1


def test_broken_examples_leave_at_once(net, digits, record) -> None:
    """With a ball that holds the whole image no example stays for the second target."""
    ours = record(net)
    stage = FabT(engine="fast", steps=100)
    stage.perturb(ours, digits, ThreatModel.parse("Linf:0.9"), seed=0)
    assert len(ours.seen) < 2 * stage.steps
