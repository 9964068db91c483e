"""Attacks on stochastic models: means over passes, and draws held fixed."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

from bench.attacks import PGD, CarliniWagnerL2, ConstraintRelaxation, Ensemble, EoT, FrozenDraws, StepSize, Transfer
from bench.attacks.autoattack import ApgdCe, ApgdDlr, AutoAttack, FabT, Square
from bench.attacks.search import Best, Redrawn, Verdict, differentiate, judge, predict, rank
from bench.core.errors import BenchError
from bench.core.types import Examples, ThreatModel
from bench.ops import losses
from bench.ops.generators import generators_kept

LINF = ThreatModel.parse("Linf:1/20")
QUARTER = StepSize(linf=Fraction(1, 4), l2=Fraction(1, 4))


class Noisy(nn.Module):
    """A net behind noise; the noise is of the whole batch."""

    def __init__(self, net, sigma=0.1):
        super().__init__()
        self.net, self.sigma = net, sigma

    def forward(self, inputs):
        return self.net(inputs + self.sigma * torch.randn_like(inputs))


def short(attack, passes=6):
    return EoT(name="eot", attack=attack, passes=passes)


ATTACKS = [
    short(PGD(steps=5, relative_step_size=QUARTER)),
    short(ApgdCe(engine="fast", steps=8)),
    short(ApgdDlr(engine="fast", steps=8)),
    short(ConstraintRelaxation(cycles=1, targets=2, rounds=0)),
    FrozenDraws(name="frozen", attack=PGD(steps=5, relative_step_size=QUARTER)),
]


def mean_margins(model, points, labels, passes=200):
    """By passes that no attack saw."""
    with generators_kept(), torch.no_grad():
        torch.manual_seed(99)
        return torch.stack([losses.margin(model(points), labels) for _ in range(passes)]).mean(0)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda each: f"{each.name}-{each.attack.name}")
def test_a_rerun_finds_the_same_and_nothing_is_left_behind(network, examples_of, attack):
    """To the bit, inside the ball, with all generators where they were; it does lower the margins."""
    model, examples = Noisy(network), examples_of(network, 16)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    found = attack.perturb(model, examples, LINF, seed=3)
    torch.rand(5)
    torch.set_rng_state(before[0])
    assert torch.equal(attack.perturb(model, examples, LINF, seed=3), found)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before[1:]
    assert (found - examples.inputs).abs().max() <= 1 / 20 + 1e-6
    gained = mean_margins(model, examples.inputs, examples.labels) - mean_margins(model, found, examples.labels)
    assert gained.mean() > 0.1
    assert attack.perturb(model, examples[:0], LINF, seed=3).shape == (0, 1, 6, 6)


def test_another_seed_draws_otherwise(network, examples_of):
    """Frozen draws are those of the seed and the example."""
    model, examples = Noisy(network), examples_of(network, 4)
    first, second = (ATTACKS[-1].perturb(model, examples, LINF, seed=seed) for seed in (0, 1))
    assert not torch.equal(first, second)
    assert torch.equal(ATTACKS[-1].perturb(model, examples[2:], LINF, seed=0), first[2:]), "each example is alone"


def test_eot_pgd_is_at_least_as_strong_as_a_few_plain_lines_of_it(network, examples_of):
    """Same steps, same passes, near the boundary: EoT-PGD breaks no fewer of the noisy net, by passes neither saw."""
    model, examples = Noisy(network), examples_of(network, 48)
    steps, passes, threat_model = 10, 20, ThreatModel.parse("Linf:1/80")
    epsilon = float(threat_model.epsilon)
    point = examples.inputs.clone()
    with generators_kept():
        torch.manual_seed(0)
        for _ in range(steps):
            leaf = point.clone().requires_grad_()
            loss = sum(losses.cross_entropy(model(leaf), examples.labels).sum() for _ in range(passes))
            (gradient,) = torch.autograd.grad(loss, leaf)
            moved = point + epsilon / 4 * gradient.sign()
            point = (examples.inputs + (moved - examples.inputs).clamp(-epsilon, epsilon)).clamp(0, 1)
    attack = EoT(name="eot", attack=PGD(steps=steps, relative_step_size=QUARTER), passes=passes)
    ours = mean_margins(model, attack.perturb(model, examples, threat_model, seed=0), examples.labels)
    plain = mean_margins(model, point, examples.labels)
    assert 8 < (plain < 0).sum() < 40
    assert (ours < 0).sum() >= (plain < 0).sum()


def test_objective_and_gradient_are_means_and_the_logits_are_of_all_passes(linear, examples_of):
    """Against the passes taken one by one with the same draws."""
    examples = examples_of(linear, 8)
    model = Noisy(linear)
    with generators_kept():
        asked = Redrawn(model, key=(0,), passes=4)
        seen = differentiate(asked, examples.inputs, lambda z: losses.cross_entropy(z, examples.labels), passes=4)
        again = Redrawn(model, key=(0,))
        each = [
            differentiate(again, examples.inputs, lambda z: losses.cross_entropy(z, examples.labels)) for _ in range(4)
        ]
        logits = predict(Redrawn(model, key=(0,), passes=4), examples.inputs, passes=4)
    torch.testing.assert_close(seen.values, sum(one.values for one in each) / 4)
    torch.testing.assert_close(seen.gradient, sum(one.gradient for one in each) / 4)
    assert torch.equal(seen.logits, torch.stack([one.logits for one in each], dim=1))
    assert torch.equal(logits, seen.logits)


def test_a_search_is_sure_of_a_break_where_three_quarters_err():
    """Two of four are not enough, three are; margins and ranks go by the means."""
    right, wrong = [1.0, 0.0, 0.0], [0.0, 1.0, 0.5]
    logits = torch.tensor([[right, right, wrong, wrong], [right, wrong, wrong, wrong]])
    labels = torch.tensor([0, 0])
    verdict = judge(logits, labels)
    assert verdict.broken.tolist() == [False, True]
    assert verdict.margins.tolist() == [0.0, -0.5]
    assert rank(logits, labels, 2).tolist() == [[1, 2], [1, 2]]
    one = judge(logits[:, 3], labels)
    assert one.broken.tolist() == [True, True] and one.chance == 0


def test_a_later_iterate_takes_the_place_of_one_that_was_lucky():
    """Two standard errors of the mean are chance; more are not."""
    still, other = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
    for above, kept in ((1.9, other), (2.1, still)):
        best = Best.none_yet(still)
        best.note(still, Verdict(torch.tensor([0.5]), torch.tensor([False]), torch.tensor([0.2])))
        best.note(other, Verdict(torch.tensor([0.5 + above / 10]), torch.tensor([False]), torch.tensor([0.2])))
        assert torch.equal(best.points, kept)


ON_SINGLE_PASSES = [
    ApgdCe(),
    AutoAttack(),
    CarliniWagnerL2(),
    Ensemble(name="both", stages=(PGD(), ApgdCe(engine="fast"))),
    FabT(engine="fast", steps=2, targets=2),
    Square(engine="fast", queries=5),
    Transfer(),
]


@pytest.mark.parametrize("attack", ON_SINGLE_PASSES, ids=lambda attack: attack.name)
def test_attacks_that_look_at_single_passes_are_refused(attack):
    """One lucky pass would end their search, or keep an example from the later stages; before anything runs."""
    with pytest.raises(ValueError, match=rf"means over passes, as FGSM, .*, but {attack.name} looks at single ones"):
        short(attack)


@pytest.mark.parametrize("attack", ON_SINGLE_PASSES[-3:-1], ids=lambda attack: attack.name)
def test_with_draws_held_fixed_there_is_one_pass_and_any_attack_will_do(network, examples_of, attack):
    """No search that looks at single passes gets a model that draws anew, however it came to it."""
    model, examples = Noisy(network), examples_of(network, 2)
    frozen = FrozenDraws(name="frozen", attack=attack).perturb(model, examples, LINF, seed=0)
    assert frozen.shape == examples.inputs.shape
    with pytest.raises(BenchError, match=r"means over 6 passes, as FGSM, .*, but this one looks at single passes"):
        attack.perturb(Redrawn(model, key=(0,), passes=6), examples, LINF, seed=0)


def test_frozen_draws_are_equal_in_every_pass(network):
    """The model is a deterministic one then; with fresh draws it is not."""
    inputs, model = torch.rand(2, 1, 6, 6), Noisy(network)
    with generators_kept():
        frozen, fresh = (Redrawn(model, key=(1, "any"), fresh=fresh) for fresh in (False, True))
        assert torch.equal(frozen(inputs), frozen(inputs))
        assert not torch.equal(fresh(inputs), fresh(inputs))


def test_the_untargeted_dlr_loss_is_the_packages(network, examples_of):
    """Ours against pyautoattack's; with two classes it is the margin."""
    from pyautoattack.autopgd_base import APGDAttack

    examples = examples_of(network, 16)
    logits = network(examples.inputs)
    theirs = APGDAttack(network, norm="Linf", eps=0.1, device="cpu").dlr_loss
    torch.testing.assert_close(losses.dlr(logits, examples.labels), theirs(logits, examples.labels))
    shifted = (examples.labels + 1) % 5
    torch.testing.assert_close(losses.dlr(logits, shifted), theirs(logits, shifted))
    pair, labels = torch.tensor([[2.0, 5.0]]), torch.tensor([0])
    assert losses.dlr(pair, labels).item() == 3.0


def test_passes_are_counted_for_plans():
    """About as many as it says, on examples that nothing breaks."""
    from bench.evaluation.counting import CountingClassifier

    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    examples = Examples(inputs=torch.full((2, 1, 2, 2), 0.5), labels=torch.zeros(2).long(), indices=torch.arange(2))
    with torch.no_grad():
        net[1].weight.mul_(0.01)
        net[1].bias.copy_(torch.tensor([5.0, -5.0]))
    for attack in ATTACKS:
        counted = CountingClassifier(Noisy(net))
        attack.perturb(counted, examples, LINF, seed=0)
        assert 1 / 4 <= sum(counted.passes) / 2 / attack.n_passes <= 3 / 2, attack
