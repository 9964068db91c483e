"""Tests of PGD, FGSM and the best iterate against foolbox and by hand."""

from __future__ import annotations

import itertools
import warnings
from fractions import Fraction

import pytest
import torch

from bench.attacks import StepSize
from bench.attacks.fgsm import FGSM
from bench.attacks.pgd import PGD
from bench.core.types import ThreatModel
from bench.evaluation.counting import CountingClassifier
from bench.ops.losses import margin

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", category=DeprecationWarning)  # it imports a name that SciPy moved
    import foolbox

QUARTER = StepSize(linf=Fraction(1, 4), l2=Fraction(1, 4))
LINF, L2 = ThreatModel.parse("Linf:1/20"), ThreatModel.parse("L2:0.2")


def run_foolbox(attack, model, examples, epsilon):
    wrapped = foolbox.PyTorchModel(model.eval(), bounds=(0, 1), device="cpu")
    return attack(wrapped, examples.inputs, examples.labels, epsilons=epsilon)[1]


@pytest.mark.parametrize(
    ("threat_model", "theirs"),
    [(LINF, foolbox.attacks.LinfFastGradientAttack()), (L2, foolbox.attacks.L2FastGradientAttack())],
)
def test_fgsm_equals_foolbox(network, examples_of, threat_model, theirs):
    """One step of length epsilon is the same point as foolbox's."""
    examples = examples_of(network)
    expected = run_foolbox(theirs, network, examples, float(threat_model.epsilon))
    found = FGSM().perturb(network, examples, threat_model, seed=0)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("threat_model", "theirs"),
    [
        (LINF, foolbox.attacks.LinfProjectedGradientDescentAttack),
        (L2, foolbox.attacks.L2ProjectedGradientDescentAttack),
    ],
)
def test_pgd_breaks_what_foolbox_breaks(network, examples_of, threat_model, theirs):
    """From the same start with the same steps, every break of foolbox's last iterate is found here too."""
    examples = examples_of(network)
    attack = theirs(rel_stepsize=0.25, steps=20, random_start=False)
    expected = run_foolbox(attack, network, examples, float(threat_model.epsilon))
    ours = PGD(steps=20, relative_step_size=QUARTER, random_start=False)
    found = ours.perturb(network, examples, threat_model, seed=0)
    broken_there = network(expected).argmax(1) != examples.labels
    broken_here = network(found).argmax(1) != examples.labels
    assert broken_there.any()
    assert broken_here[broken_there].all()


def test_the_best_iterate_counts(examples_of, network):
    """More steps never raise the smallest margin seen, even where the path overshoots."""
    examples = examples_of(network)
    wide = StepSize(linf=Fraction(2), l2=Fraction(2))
    margins = []
    for steps in (1, 2, 5, 9):
        attack = PGD(steps=steps, relative_step_size=wide)
        margins.append(margin(network(attack.perturb(network, examples, LINF, seed=0)), examples.labels))
    for fewer, more in itertools.pairwise(margins):
        assert (more <= fewer + 1e-5).all()


def test_restarts_only_help(examples_of, network):
    """The first restart is the run without restarts; further ones never lose a break."""
    examples = examples_of(network)
    one, many = (PGD(steps=3, restarts=count).perturb(network, examples, LINF, seed=0) for count in (1, 8))
    broken_once = network(one).argmax(1) != examples.labels
    broken = network(many).argmax(1) != examples.labels
    assert broken[broken_once].all()
    assert broken.sum() > broken_once.sum()


def test_for_the_verdict_alone_an_example_stops_where_it_is_broken(examples_of, network):
    """The verdicts and the survivors stay as they are; a broken example costs only the steps up to its break."""
    examples, small, steps = examples_of(network), ThreatModel.parse("Linf:1/60"), 12
    whole, short = CountingClassifier(network), CountingClassifier(network)
    expected = PGD(steps=steps).perturb(whole, examples, small, seed=0)
    found = PGD(steps=steps, verdict_only=True).perturb(short, examples, small, seed=0)
    lasts = network(expected).argmax(1) == examples.labels
    assert 0 < lasts.sum() < len(lasts)
    assert torch.equal(found[lasts], expected[lasts])
    assert (network(found[~lasts]).argmax(1) != examples.labels[~lasts]).all()

    def left(after):
        points = PGD(steps=after).perturb(network, examples, small, seed=0)
        return int((network(points).argmax(1) == examples.labels).sum())

    assert whole.backwards == steps * len(examples)
    assert short.backwards == len(examples) + sum(left(after) for after in range(steps - 1))


def test_an_iterate_without_a_margin_reaches_the_harness(examples_of, network):
    """Where the model answers NaN off the clean point, that point is returned, not the clean one called robust."""
    examples = examples_of(network, 8)
    clean = examples.inputs

    def undefined(inputs):
        moved = (inputs - clean[: len(inputs)]).abs().flatten(1).amax(1, keepdim=True)
        return network(inputs) + torch.where(moved > 0, float("nan"), 0.0)

    found = PGD(steps=3).perturb(undefined, examples, LINF, seed=0)
    assert found.isfinite().all()
    assert undefined(found).isnan().any(1).all()
