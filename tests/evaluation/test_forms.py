from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from torch import nn

from bench.attacks.autoattack import ApgdCe, AutoAttack, FabT
from bench.attacks.fgsm import FGSM
from bench.attacks.pgd import PGD
from bench.core.errors import BenchError
from bench.core.types import ThreatModel
from bench.evaluation import cost_of, evaluate
from bench.evaluation.forms import Forms
from bench.evaluation.search_precision import FLOAT32, LADDER

THREAT_MODEL = ThreatModel.parse("Linf:0.05")
STAGE = ApgdCe(engine="fast", steps=5)


class Net(nn.Module):
    """A small convolutional network with a batch norm to fold, on 1 x 4 x 4 inputs."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv, self.norm = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)
            self.linear = nn.Linear(8 * 16, 2)
        self.eval()

    def forward(self, inputs):
        return self.linear(torch.relu(self.norm(self.conv(inputs))).flatten(1))


@pytest.fixture
def suite(make):
    """FGSM and a short APGD-CE on our own engine."""
    return make["suite"](FGSM(), STAGE)


def search(attack, examples, **options):
    net = Net()
    forms = Forms.of(net, examples.inputs, **{"engine": "fast", "precision": FLOAT32, **options})
    return forms, forms.search(attack, examples[:20], THREAT_MODEL, seed=0)


def test_every_attack_gets_the_form_that_it_may_search_on(examples) -> None:
    """Logits alone: the fast form; a finish: the lowest; anything else, and the reference engine: the model itself."""
    forms, _ = search(FGSM(), examples, precision=LADDER)
    assert (forms.exact.forwards, forms.low.forwards, forms.original.forwards) == (20, 0, 0)
    forms, searched = search(STAGE, examples, precision=LADDER)
    assert forms.low.forwards > 20
    assert forms.original.forwards >= 20
    assert searched.claimed.sum() >= searched.rejected.sum()
    forms, searched = search(ApgdCe(engine="reference", steps=2), examples)
    assert forms.exact.forwards == 0 < forms.original.forwards
    assert not searched.claimed.any() and not searched.rejected.any()
    forms, _ = search(STAGE, examples, engine="reference")
    assert forms.exact is forms.original


def test_an_attack_that_is_defined_by_its_steps_gets_no_more_of_them(examples) -> None:
    """PGD climbs in lower precision; breaks are judged on the model, and refused ones searched again in float32."""

    class Contrary(Net):
        def forward(self, inputs):
            return -super().forward(inputs)

    for low, steps in ((Net(), 4), (Contrary(), 4), (Contrary(), 1)):
        forms = Forms(Net(), exact=Net(), low=low)
        searched = forms.search(PGD(steps=steps, verdict_only=True), examples[:20], THREAT_MODEL, seed=0)
        refused = int(searched.rejected.sum())
        assert (refused > 0) is isinstance(low, Contrary)
        assert 20 <= forms.low.backwards <= 20 * steps  # what is broken stops earlier
        assert refused <= forms.exact.backwards <= steps * refused
        assert forms.original.forwards == 20 + refused


def test_passes_are_summed_over_the_forms_and_start_from_zero(examples) -> None:
    """The verification on the original counts as well."""
    forms, _ = search(STAGE, examples, precision=LADDER)
    counted = [forms.original.forwards, forms.exact.forwards, forms.low.forwards]
    assert forms.passes.forwards == sum(counted)
    assert min(counted) > 0
    forms.reset()
    assert forms.passes == (0, 0)


def test_the_form_depends_on_the_model_alone(examples) -> None:
    """Whichever and however many examples a run begins with, forms are compared on the same inputs."""

    class Watched(Net):
        seen: ClassVar[list[bytes]] = []

        def forward(self, inputs):
            if isinstance(inputs, torch.Tensor):
                self.seen.append(inputs.detach().float().numpy().tobytes())
            return super().forward(inputs)

    asked = []
    for few in (examples.inputs[:1], examples.inputs[7:100]):
        Watched.seen.clear()
        Forms.of(Watched(), few, engine="fast", precision=LADDER)
        asked.append(list(Watched.seen))
    assert asked[0] == asked[1] != []


def test_a_model_that_refuses_bfloat16_is_named(examples) -> None:
    """One line that says what to choose instead."""

    class Picky(Net):
        def forward(self, inputs):
            if inputs.dtype != torch.float32:
                raise TypeError("float32 only")
            return super().forward(inputs)

    with pytest.raises(BenchError, match="--precision float32"):
        Forms.of(Picky(), examples.inputs, engine="fast", precision=LADDER)


def test_the_cost_tells_what_the_low_precision_claimed_and_what_was_refused(examples, suite) -> None:
    """Only attacks that searched in it carry the two numbers, and they survive the journal."""
    ladder = cost_of(evaluate(Net(), examples, threat_model=THREAT_MODEL, suite=suite, precision=LADDER))
    plain = cost_of(evaluate(Net(), examples, threat_model=THREAT_MODEL, suite=suite, precision=FLOAT32))
    assert (ladder.precision, plain.precision) == (LADDER, FLOAT32)
    assert ladder.attacks[0].n_claimed is None
    assert ladder.attacks[1].n_claimed > 0
    assert ladder.attacks[1].n_rejected <= ladder.attacks[1].n_claimed
    assert {attack.n_claimed for attack in plain.attacks} == {None}


def test_both_precisions_find_the_same(examples, make) -> None:
    """On a small network no verdict differs, and a break claimed in bfloat16 counts only as float32 says."""
    suite = make["suite"](AutoAttack(stages=(STAGE, FabT(engine="fast", steps=5, targets=1))))
    found = [
        evaluate(Net(), examples, threat_model=THREAT_MODEL, suite=suite, precision=precision).robust
        for precision in (FLOAT32, LADDER)
    ]
    assert sum(one != other for one, other in zip(*found, strict=True)) <= 1
    assert 0 < sum(found[0]) < len(examples)
