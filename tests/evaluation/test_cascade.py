"""A cascade in the harness: who sees what, what it leaves in the row, and when it tries everybody after all."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import pytest
import torch
from torch import nn

from bench import data
from bench.attacks.autoattack import ApgdCe, ApgdT, AutoAttack, Cascade, FabT, Square
from bench.core.errors import WorkFailedError
from bench.core.types import CascadeRules, ThreatModel
from bench.evaluation import Progress, evaluate, result_of
from bench.suites import AttackSuite

WIDE = ThreatModel.parse("Linf:0.9")
GREYS = (0.25, 0.5)
NAMES = ("apgd-ce", "apgd-t", "fab-t", "square")


class TwoGreys(nn.Module):
    """A linear model that calls one grey image 0 and another 1, so that a script can break what it wants."""

    def __init__(self, linear: nn.Module) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, inputs):
        logits = self.linear(inputs)
        for value, answer in zip(GREYS, ([1.0, 0.0], [0.0, 1.0]), strict=True):
            grey = (inputs == value).flatten(1).all(1, keepdim=True)
            logits = torch.where(grey, torch.tensor(answer), logits)
        return logits


class Bench:
    """Runs a cascade of scripted stages and remembers what each was shown."""

    def __init__(self, make, linear, examples) -> None:
        self.make, self.model, self.examples = make, TwoGreys(linear), examples
        self.seen: dict[str, list[int]] = {}

    def run(self, breaks=None, examples=None, **options):
        breaks = breaks or {}
        self.seen = {name: [] for name in NAMES}

        def stage(name):
            def act(_, part, __):
                self.seen[name] += part.indices.tolist()
                hit = torch.tensor([index in breaks.get(name, ()) for index in part.indices.tolist()])
                grey = torch.tensor(GREYS)[1 - part.labels].view(-1, 1, 1, 1).expand_as(part.inputs)
                return torch.where(hit.view(-1, 1, 1, 1), grey, part.inputs)

            return self.make["Scripted"](name=name, act=options.get("act", {}).get(name, act))

        rules = options.get("rules", CascadeRules())
        cascade = Cascade(stages=tuple(stage(name) for name in NAMES), cascade_rules=rules)
        more = {key: value for key, value in options.items() if key not in ("rules", "act")}
        chosen = self.examples if examples is None else examples
        return evaluate(self.model, chosen, threat_model=WIDE, suite=self.make["suite"](cascade), **more)


@pytest.fixture
def bench(make, linear, examples):
    return Bench(make, linear, examples)


def by_margin(found):
    """Indices of the correct examples, those nearest to another class first."""
    correct = [index for index, right in enumerate(found.clean) if right]
    return sorted(correct, key=found.clean_margin.__getitem__)


def test_the_later_stages_see_the_closest_and_the_audited(bench):
    """FAB-T and Square the same few; whoever they spared counts as robust, and the row says how many were spared."""
    found = bench.run()
    correct = [index for index, right in enumerate(found.clean) if right]
    assert bench.seen["apgd-ce"] == bench.seen["apgd-t"] == correct
    n_closest = 8
    assert bench.seen["fab-t"] == bench.seen["square"] and len(bench.seen["square"]) == n_closest + 16
    assert set(by_margin(found)[:n_closest]) <= set(bench.seen["square"])
    result = result_of(found)
    assert found.n_robust == found.n_clean == result.n_robust
    assert (result.audit.n_audited, result.audit.n_unaudited) == (16, len(correct) - n_closest - 16)
    assert 0 < result.audit.at_least < result.n_robust
    assert result.audit.escalated == ""
    assert [stage.n_robust for stage in result.attacks[0].stages] == [found.n_clean] * 4


def test_survivors_of_the_early_stages_alone_go_on(bench):
    """A break by APGD-T is a break, and is shown to nobody else."""
    some = by_margin(bench.run())[::9]
    found = bench.run({"apgd-t": some})
    assert found.n_robust == found.n_clean - len(some)
    assert not set(some) & set(bench.seen["square"])
    assert not any(found.robust[index] for index in some)


@pytest.mark.parametrize("name", ["fab-t", "square"])
def test_a_break_in_the_audit_has_everybody_tried(bench, name):
    """Then every break that the full suite would find is found, and the interval is a point."""
    order = by_margin(bench.run())
    tried = set(bench.seen["square"])
    drawn = next(index for index in order[8:] if index in tried)
    others = [index for index in order if index not in tried][::2]
    found = bench.run({name: [drawn, *others]})
    correct = {index for index, right in enumerate(found.clean) if right}
    assert set(bench.seen["fab-t"]) == correct
    assert set(bench.seen["square"]) == correct - ({drawn, *others} if name == "fab-t" else set())
    assert len(bench.seen["fab-t"]) == len(correct), "nobody is tried twice"
    result = result_of(found)
    assert found.n_robust == found.n_clean - len(others) - 1 == result.audit.at_least
    assert (result.audit.n_breaks, result.audit.n_unaudited) == (1, 0)
    assert result.audit.escalated == "1 of 16 audited examples broke"


def test_a_break_among_the_closest_escalates_nothing(bench):
    """They were picked because they look weak; the audit speaks for the others."""
    found = bench.run({"square": by_margin(bench.run())[:8]})
    assert found.audit.n_unaudited > 0 and found.n_robust == found.n_clean - 8


def test_a_large_gap_has_everybody_tried(bench):
    """Margins that break more than an eighth of the examples after cross-entropy did not."""
    some = by_margin(bench.run())[:26]
    found = bench.run({"apgd-t": some})
    assert found.audit.escalated.startswith("margins broke 26 of 200")
    assert len(bench.seen["fab-t"]) == found.n_robust and found.audit.n_unaudited == 0
    assert bench.run({"apgd-t": some[:25]}).audit.escalated == ""


def test_missing_gradients_have_everybody_tried(bench):
    """Rounding hides the gradient of a part of the images."""
    plain = bench.model.forward
    bench.model.forward = lambda inputs: plain(inputs).where(
        (inputs.flatten(1).mean(1) > 0.55)[:, None].logical_not(), plain(inputs).detach()
    )
    found = bench.run()
    assert found.audit.escalated.startswith("no gradient at ")
    assert set(bench.seen["square"]) == {index for index, right in enumerate(found.clean) if right}


@pytest.mark.parametrize("batch_size", [3, 64, 512])
def test_nothing_depends_on_batch_or_order(bench, batch_size):
    """The same examples are chosen in any batch, and a shuffled call has the same verdicts."""
    some = by_margin(bench.run())[::9]
    first = bench.run({"apgd-t": some, "square": some})
    chosen = set(bench.seen["square"])
    order = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    again = bench.run({"apgd-t": some, "square": some}, examples=bench.examples[order], batch_size=batch_size)
    assert set(bench.seen["square"]) == chosen
    assert [again.robust[position] for position in order.argsort().tolist()] == list(first.robust)
    assert again.audit == first.audit


@pytest.mark.parametrize("name", ["apgd-t", "fab-t", "square"])
def test_an_interrupted_cascade_goes_on_where_it_stopped(bench, tmp_path, name):
    """With the same choice and the same row, and nothing that was finished is done again."""
    expected = bench.run()
    done = dict(bench.seen)

    def fail(*_):
        raise RuntimeError("no luck")

    with pytest.raises(WorkFailedError, match=f"cascade.{name}"):
        bench.run(act={name: fail}, journal=tmp_path / "journal")
    found = bench.run(journal=tmp_path / "journal")
    assert result_of(found) == result_of(expected)
    position = NAMES.index(name)
    assert all(not bench.seen[other] for other in NAMES[:position])
    assert all(bench.seen[other] == done[other] for other in NAMES[position:])
    bench.run(journal=tmp_path / "journal")
    assert not any(bench.seen.values())


def test_what_is_tried_after_all_is_resumed_too(bench, tmp_path):
    """The rest has entries of its own in the journal."""
    order = by_margin(bench.run())
    drawn = next(index for index in order[8:] if index in bench.seen["square"])
    expected = bench.run({"square": [drawn]}, journal=tmp_path / "journal")
    found = bench.run({"square": [drawn]}, journal=tmp_path / "journal")
    assert not any(bench.seen.values())
    assert result_of(found) == result_of(expected)


def test_progress_names_the_rest(bench):
    """Whoever watches sees that more is done than was planned."""
    events: list[Progress] = []
    some = by_margin(bench.run())
    bench.run({"square": some}, progress=events.append)
    assert [event.stage for event in events if event.chunk == event.n_chunks] == [
        "clean",
        *NAMES,
        "fab-t rest",
        "square rest",
    ]


class WinnersTakeAll(nn.Module):
    """A net whose hidden units are all but the k largest set to 0 (Xiao et al. 2019), which misleads gradients."""

    def __init__(self, width: int = 128, winners: int = 4) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.winners = winners
        self.first, self.second, self.head = nn.Linear(64, width), nn.Linear(width, width), nn.Linear(width, 10)

    def _compete(self, hidden):
        least = hidden.topk(self.winners, dim=1).values[:, -1:]
        return torch.where(hidden >= least, hidden, 0)

    def forward(self, inputs):
        return self.head(self._compete(self.second(self._compete(self.first(inputs.flatten(1))))))


@pytest.fixture(scope="module")
def winners_take_all():
    """Trained on noisy digits for a moment."""
    net, examples = WinnersTakeAll(), data.load("digits", split="train").examples
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    for _ in range(60):
        optimizer.zero_grad()
        noisy = examples.inputs + 0.1 * (2 * torch.rand_like(examples.inputs) - 1)
        nn.functional.cross_entropy(net(noisy.clamp(0, 1)), examples.labels).backward()
        optimizer.step()
    return net.eval()


def attack(net, rules, *, epsilon, seed=0):
    """The cascade and the full ensemble, with few steps, on the same examples and draws."""
    stages = (ApgdCe(steps=20), ApgdT(steps=10, targets=2), FabT(steps=3, targets=1), Square(queries=200))
    fast = tuple(dataclasses.replace(stage, engine="fast") for stage in stages)
    suite = AttackSuite(name="test", version=1, attacks=(Cascade(stages=fast, cascade_rules=rules),))
    full = AttackSuite(name="full", version=1, attacks=(AutoAttack(stages=fast),))
    examples = data.load("digits").examples[:128]
    return tuple(
        evaluate(net, examples, threat_model=f"Linf:{epsilon}", suite=each, seed=seed) for each in (suite, full)
    )


def test_a_net_that_misleads_gradients_is_escalated(winners_take_all):
    """Random search breaks what gradients leave; everybody is tried, and the number is that of the full ensemble."""
    found, full = attack(winners_take_all, CascadeRules(), epsilon=0.1)
    stages = [stage.n_robust for stage in found.attacks[0].stages]
    assert found.n_clean > 90 and stages[3] < 0.9 * stages[2]
    assert found.audit.escalated and found.audit.n_unaudited == 0
    assert found.robust == full.robust and result_of(found).audit.at_least == full.n_robust


def test_where_gradients_mislead_the_audit_alone_is_enough(winners_take_all):
    """With every other doubt silenced: the interval holds for each seed, and most audits notice."""
    blind, escalated = CascadeRules(largest_gap=Fraction(1)), 0
    for seed in range(4):
        found, full = attack(winners_take_all, blind, epsilon=0.1, seed=seed)
        assert result_of(found).audit.at_least <= full.n_robust <= found.n_robust
        escalated += bool(found.audit.escalated)
    assert escalated >= 3
