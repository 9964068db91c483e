from __future__ import annotations

import pytest
import torch
from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted

from bench.attacks.autoattack import ApgdCe, ApgdT
from bench.attacks.search.step_rules import windows
from bench.core.types import Norm, ThreatModel

# So small that nothing breaks: the trajectories can be compared to their end.
GENTLE = {Norm.LINF: ThreatModel.parse("Linf:1/500"), Norm.L2: ThreatModel.parse("L2:1/100")}
ROUNDING = 2e-6


@pytest.mark.parametrize("norm", [Norm.LINF, Norm.L2])
def test_cross_entropy_iterates_are_those_of_the_reference(net, digits, record, norm) -> None:
    """From the same start, 50 steps of APGD-CE visit the same points as pyautoattack's."""
    threat_model, steps = GENTLE[norm], 50
    examples = digits[net(digits.inputs).argmax(1) == digits.labels]
    ours, theirs = record(net), record(net)
    ApgdCe(engine="fast", steps=steps).perturb(ours, examples, threat_model, seed=3)
    reference = APGDAttack(theirs, n_iter=steps, norm=str(norm), eps=float(threat_model.epsilon), seed=0)
    reference.init_hyperparam(examples.inputs)
    reference.attack_single_run(examples.inputs, examples.labels, x_init=ours.seen[1])
    visited = ours.seen[1:]  # after the clean pass
    assert len(visited) == len(theirs.seen) == steps + 1
    assert len(visited[-1]) == len(examples)
    agreement(visited, theirs.seen, epsilon=float(threat_model.epsilon))


def agreement(ours, theirs, *, epsilon) -> None:
    """All trajectories agree before the first checkpoint, and most to their end, within 1 % of epsilon.

    Past it rounding may decide whether a loss rose, and so whether one example's step size is halved.
    """
    gaps = torch.stack([(a - b).abs().flatten(1).amax(1) for a, b in zip(ours, theirs, strict=True)])
    assert gaps[: min(windows(len(gaps) - 1)) + 1].max() <= ROUNDING
    assert (gaps.amax(0) <= 0.01 * epsilon).float().mean() >= 0.8


@pytest.mark.parametrize("norm", [Norm.LINF, Norm.L2])
def test_targeted_iterates_are_those_of_the_reference(net, digits, record, norm) -> None:
    """From the same starts, APGD-T follows pyautoattack's targets and visits the same points."""
    threat_model, steps = GENTLE[norm], 40
    examples = digits[net(digits.inputs).argmax(1) == digits.labels]
    ours = record(net)
    ApgdT(engine="fast", steps=steps, targets=3).perturb(ours, examples, threat_model, seed=3)
    ranked = net(examples.inputs).sort(dim=1).indices
    for number in range(3):
        visited = ours.seen[1 + number * (steps + 1) :][: steps + 1]
        theirs = record(net)
        reference = APGDAttack_targeted(theirs, n_iter=steps, norm=str(norm), eps=float(threat_model.epsilon), seed=0)
        reference.init_hyperparam(examples.inputs)
        reference.y_target = ranked[:, -(number + 2)]
        reference.attack_single_run(examples.inputs, examples.labels, x_init=visited[0])
        agreement(visited, theirs.seen, epsilon=float(threat_model.epsilon))


def test_steps_cost_one_pass_each_and_the_last_takes_no_gradient(net, digits) -> None:
    """A survivor costs one clean pass, steps + 1 forwards and steps backwards."""
    counts = {"forwards": 0, "backwards": 0}

    def counting(inputs):
        counts["forwards"] += len(inputs)
        logits = net(inputs)
        if logits.requires_grad:
            logits.register_hook(lambda _: counts.update(backwards=counts["backwards"] + len(inputs)))
        return logits

    examples = digits[net(digits.inputs).argmax(1) == digits.labels][:10]
    ApgdCe(engine="fast", steps=20).perturb(counting, examples, GENTLE[Norm.LINF], seed=0)
    assert counts == {"forwards": 10 * 22, "backwards": 10 * 20}
