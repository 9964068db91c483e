from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from bench.acceleration.forms import low_form
from bench.attacks.autoattack import ApgdCe, ApgdT
from bench.attacks.pgd import PGD
from bench.attacks.search.mixed_precision import ModelForms, search_and_settle
from bench.core.types import ThreatModel
from bench.ops import norms

THREAT_MODEL = ThreatModel.parse("Linf:0.12")


def apgd(stage):
    fast = replace(stage, engine="fast")
    return lambda classifier, examples: fast.perturb(classifier, examples, THREAT_MODEL, seed=0)


def forms(net, low):
    return ModelForms(original=net, exact=net, low=low)


def correct(net, examples):
    return examples[net(examples.inputs).argmax(1) == examples.labels]


@pytest.mark.parametrize(("stage", "finish"), [(ApgdCe(steps=30), "cross-entropy"), (ApgdT(steps=20), "margin")])
def test_no_fewer_breaks_hold_than_in_float32(net, digits, stage, finish) -> None:
    """It misses at most one break of the search in float32, and stays inside the ball."""
    plain = apgd(stage)(net, digits)
    low = low_form(net, digits.inputs)
    settled = search_and_settle(apgd(stage), forms(net, low), digits, THREAT_MODEL, finish=finish)
    broken = [net(each).argmax(1) != digits.labels for each in (plain, settled.points)]
    assert (broken[0] & ~broken[1]).sum() <= 1
    assert norms.size(settled.points - digits.inputs, THREAT_MODEL.norm).max() <= 0.12 + 1e-6
    assert not (settled.rejected & ~settled.claimed).any()


def test_breaks_that_do_not_hold_are_refused_and_searched_again(net, digits) -> None:
    """Where the inexact model is wrong about everything, the exact search decides."""
    examples = correct(net, digits)
    plain = apgd(ApgdCe(steps=30))(net, examples)
    settled = search_and_settle(
        apgd(ApgdCe(steps=30)), forms(net, lambda inputs: -net(inputs)), examples, THREAT_MODEL, finish="cross-entropy"
    )
    assert settled.claimed.all()
    assert settled.rejected.all()
    broken = [net(each).argmax(1) != examples.labels for each in (plain, settled.points)]
    assert (broken[1] | ~broken[0]).all()


def test_a_refused_break_is_continued_from_where_it_was_claimed(net, digits, record) -> None:
    """The float32 climb starts at the refused point, and only what outlives it is searched again."""
    examples = correct(net, digits)
    claim = (examples.inputs + 0.05).clamp(0, 1)
    searches = []

    def search(classifier, part):
        searches.append(len(part))
        return claim if len(searches) == 1 else part.inputs

    exact = record(net)
    settled = search_and_settle(
        search,
        ModelForms(original=net, exact=exact, low=lambda inputs: -net(inputs)),
        examples,
        THREAT_MODEL,
        finish="margin",
    )
    held = net(claim).argmax(1) != examples.labels
    torch.testing.assert_close(exact.seen[1], claim[~held])  # the first pass ranks the targets there
    left = (net(settled.points).argmax(1) == examples.labels).sum()
    assert settled.rejected.sum() == (~held).sum() > left
    assert searches[1:] == ([int(left)] if left else [])


@pytest.mark.parametrize("finish", ["cross-entropy", "margin"])
def test_survivors_get_a_short_climb_in_float32(net, digits, finish) -> None:
    """Where the inexact model shows nothing, twenty float32 steps still break examples and lower margins."""
    examples = correct(net, digits)
    blind = search_and_settle(
        apgd(ApgdCe(steps=5)),
        forms(net, lambda inputs: 20 * net(examples.inputs[: len(inputs)])),
        examples,
        THREAT_MODEL,
        finish=finish,
    )
    assert not blind.claimed.any()
    assert (net(blind.points).argmax(1) != examples.labels).any()


def test_without_a_low_form_only_refused_breaks_are_searched_again(net, digits) -> None:
    """A float32 form that claims too much is corrected on the original; survivors get no more steps."""
    examples = correct(net, digits)
    searches = []

    def search(classifier, part):
        searches.append((classifier, part.indices.tolist()))
        return part.inputs

    def exact(inputs):
        logits = net(inputs).clone()
        logits[0] = -logits[0]
        return logits

    settled = search_and_settle(search, ModelForms(original=net, exact=exact), examples, THREAT_MODEL, finish="margin")
    assert searches == [(exact, examples.indices.tolist()), (net, examples.indices[:1].tolist())]
    assert settled.rejected.nonzero().squeeze(1).tolist() == [0]
    assert torch.equal(settled.points, examples.inputs)


def test_an_empty_batch_costs_nothing(net, digits) -> None:
    """No examples, nothing to climb."""
    settled = search_and_settle(apgd(ApgdCe(steps=5)), forms(net, net), digits[:0], THREAT_MODEL, finish="margin")
    assert settled.points.shape == torch.Size((0, 1, 8, 8))
    assert (len(settled.claimed), len(settled.rejected)) == (0, 0)


def test_a_break_that_only_a_pass_with_a_graph_claims_is_searched_again(net, digits) -> None:
    """Passes with and without a graph round differently: what left a search early by the former counts as claimed."""
    examples = correct(net, digits)

    def low(inputs):
        return -net(inputs) if inputs.requires_grad else net(inputs)

    attack = PGD(verdict_only=True)

    def search(classifier, part):
        return attack.perturb(classifier, part, THREAT_MODEL, seed=0)

    settled = search_and_settle(search, forms(net, low), examples, THREAT_MODEL, finish="nothing")
    assert settled.claimed.all()
    plain = net(search(net, examples)).argmax(1) == examples.labels
    assert (~plain).sum() > 0
    assert torch.equal(net(settled.points).argmax(1) == examples.labels, plain)
