"""An audit in the harness: whom it looks at, what it says of the others, and when everybody is tried after all."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import pytest
import torch

from bench import suites
from bench.attacks import PGD
from bench.attacks.adaptive import Swift
from bench.core.audited import is_audited
from bench.core.errors import BenchError, WorkFailedError
from bench.core.statistics import most_missed
from bench.core.types import AuditRules, ThreatModel
from bench.evaluation import evaluate, result_of

WIDE = ThreatModel.parse("Linf:0.9")
NAMES = ("relaxed", "first", "last")
RULES = AuditRules(rate=Fraction(1, 4), most_broken=Fraction(1, 20), against="pgd")


class Scripts:
    """Runs an audit of scripted stages and remembers what each was shown."""

    def __init__(self, make, linear, examples) -> None:
        self.make, self.model, self.examples = make, linear, examples
        self.seen: dict[str, list[int]] = {}

    def run(self, breaks=None, examples=None, rules=RULES, fail="", **more):
        breaks = breaks or {}
        self.seen = {name: [] for name in (*NAMES, "pgd")}

        def stage(name):
            def act(_, part, __):
                if name == fail:
                    raise RuntimeError("no luck")
                self.seen[name] += part.indices.tolist()
                hit = torch.tensor([index in breaks.get(name, ()) for index in part.indices.tolist()])
                towards = (1 - 2 * part.labels).float().view(-1, 1, 1, 1) * self.model.weight.view(1, 4, 4).sign()
                return torch.where(hit.view(-1, 1, 1, 1), (part.inputs + 0.89 * towards).clamp(0, 1), part.inputs)

            return self.make["Scripted"](name=name, act=act)

        swift = Swift(stages=tuple(map(stage, NAMES)), cascade_rules=rules)
        chosen = self.examples if examples is None else examples
        suite = self.make["suite"](stage("pgd"), swift)
        return evaluate(self.model, chosen, threat_model=WIDE, suite=suite, **more)


@pytest.fixture
def scripts(make, linear, examples):
    return Scripts(make, linear, examples)


def correct_of(found):
    return [index for index, right in enumerate(found.clean) if right]


def audited_of(found):
    return [index for index in correct_of(found) if is_audited(index, RULES.rate)]


def test_the_audit_looks_at_those_whose_key_says_so(scripts):
    """The later stages see them alone, whoever else is there; the others count as robust, and the row says so."""
    found = scripts.run()
    audited = audited_of(found)
    assert scripts.seen["relaxed"] == correct_of(found)
    assert scripts.seen["first"] == scripts.seen["last"] == audited
    audit = result_of(found).audit
    assert (audit.n_audited, audit.n_breaks, audit.rate) == (len(audited), 0, "1/4")
    assert audit.n_unaudited == found.n_clean - len(audited)
    assert audit.at_least == found.n_robust - most_missed(found.n_clean, len(audited))
    assert [stage.n_robust for stage in result_of(found).attacks[1].stages] == [found.n_clean] * 3


def test_membership_depends_on_the_example_alone(scripts):
    """On a part of the examples, in another order and with another seed the same ones are audited."""
    audited = audited_of(scripts.run())
    order = torch.randperm(120, generator=torch.Generator().manual_seed(0))
    scripts.run(examples=scripts.examples[order], seed=5)
    assert scripts.seen["first"] == [index for index in audited if index < 120]


def test_few_breaks_of_the_audit_count_and_widen_the_interval(scripts):
    """At most a twentieth here: they are broken, nobody else is tried, and the bound is that for so many breaks."""
    audited = audited_of(scripts.run())
    found = scripts.run({"last": audited[:1]})
    audit = result_of(found).audit
    assert scripts.seen["first"] == audited and not audit.escalated
    assert found.n_robust == found.n_clean - 1
    assert audit.n_breaks == 1
    assert audit.at_least == found.n_robust - most_missed(found.n_clean, len(audited), 1)
    assert most_missed(found.n_clean, len(audited), 1) > most_missed(found.n_clean, len(audited))


@pytest.mark.parametrize("name", ["first", "last"])
def test_too_many_breaks_have_everybody_tried(scripts, name):
    """Then every break that the full ensemble would find is found, and the interval is a point."""
    audited = audited_of(scripts.run())
    others = [index for index in correct_of(scripts.run()) if index not in audited][::2]
    found = scripts.run({name: [*audited[:3], *others]})
    audit = result_of(found).audit
    assert sorted(scripts.seen["first"]) == correct_of(found)
    assert audit.escalated == f"3 of {len(audited)} audited examples broke" and audit.n_unaudited == 0
    assert found.n_robust == found.n_clean - 3 - len(others) == audit.at_least


def test_a_gap_between_the_losses_has_everybody_tried(scripts):
    """More than an eighth of all examples that the attack on cross-entropy had left."""
    some = correct_of(scripts.run())[:26]
    found = scripts.run({"relaxed": some})
    assert found.audit.escalated == "margins broke 26 of 200 examples that cross-entropy had not"
    assert sorted(scripts.seen["last"]) == correct_of(found)[26:]
    assert scripts.run({"relaxed": some[:25]}).audit.escalated == ""
    assert scripts.run({"relaxed": some, "pgd": some}).audit.escalated == ""
    assert scripts.run({"relaxed": some}, rules=dataclasses.replace(RULES, against="none")).audit.escalated == ""


def test_missing_gradients_have_everybody_tried(scripts):
    """Rounding hides the gradient of a part of the images."""
    plain = scripts.model.forward
    scripts.model.forward = lambda inputs: plain(inputs).where(
        (inputs.flatten(1).mean(1) > 0.55)[:, None].logical_not(), plain(inputs).detach()
    )
    found = scripts.run()
    assert found.audit.escalated.startswith("no gradient at ")
    assert sorted(scripts.seen["last"]) == correct_of(found)


@pytest.mark.parametrize("name", NAMES)
def test_an_interrupted_audit_goes_on_where_it_stopped(scripts, tmp_path, name):
    """With the same row, the rest after an escalation included."""
    script = {"last": audited_of(scripts.run())[:3]}
    expected = scripts.run(script)
    with pytest.raises(WorkFailedError, match=f"swift.{name}"):
        scripts.run(script, fail=name, journal=tmp_path / "journal")
    assert result_of(scripts.run(script, journal=tmp_path / "journal")) == result_of(expected)
    scripts.run(script, journal=tmp_path / "journal")
    assert not any(scripts.seen.values())


def test_a_longer_run_audits_what_the_shorter_one_did(scripts, tmp_path):
    """And takes it from its journal."""
    options = {"journal": tmp_path / "journal", "batch_size": 8}  # a block is one chunk
    short = scripts.run(examples=scripts.examples[:128], **options)
    long = scripts.run(**options)
    assert min(scripts.seen["first"]) >= 128
    assert long.robust[:128] == short.robust


@pytest.mark.parametrize("threat", ["Linf:1/20", "L2:0.1"])
def test_the_linear_classifier_falls_where_it_can(linear, examples, threat):
    """Every breakable example is broken and none beyond; what is audited changes nothing."""
    threat_model = ThreatModel.parse(threat)
    with torch.no_grad():
        logits = linear(examples.inputs)
    signed = torch.where(examples.labels == 1, 1, -1) * (logits[:, 1] - logits[:, 0])
    order = 1 if threat.startswith("Linf") else 2
    reach = float(threat_model.epsilon) * linear.weight.norm(p=order)
    # no image lies so near the box that it hinders the attack
    assert float(threat_model.epsilon) < 0.2
    *columns, swift = suites.get("swift-v1").attacks
    quick = tuple(stage for stage in swift.stages if stage.name != "square")
    suite = dataclasses.replace(suites.get("swift-v1"), attacks=(*columns, dataclasses.replace(swift, stages=quick)))
    found = evaluate(linear, examples, threat_model=threat_model, suite=suite)
    assert list(found.robust) == (signed > reach).tolist()
    assert 0 < found.n_robust < found.n_clean and found.audit.n_audited > 0 and not found.audit.escalated


def test_a_model_of_one_class_is_refused(examples):
    """One line: what was wrong, and what was expected."""

    class One(torch.nn.Module):
        def forward(self, inputs):
            return inputs.flatten(1).sum(1, keepdim=True)

    labelled = dataclasses.replace(examples, labels=torch.zeros_like(examples.labels))
    with pytest.raises(BenchError, match="a class for every label") as caught:
        evaluate(One(), labelled, threat_model="Linf:1/20", suite="swift-v1")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("suite", "threat", "message"),
    [
        ("swift-v1", "L3:1/20", "Unknown norm 'L3'"),
        ("swift-v1", "L1:1/20", "Attack swift does not know the norm L1"),
        ("adaptive-v2", "L1:1/20", "Attack constraint-relaxation does not know the norm L1"),
    ],
)
def test_an_unknown_norm_is_refused(linear, examples, suite, threat, message):
    """One line with the norms that there are, before anything runs."""
    linear.forward = None
    with pytest.raises(BenchError, match=f"{message}.*Linf") as caught:
        evaluate(linear, examples, threat_model=threat, suite=suites.get(suite, engine="reference"))
    assert "\n" not in str(caught.value)


def test_stages_for_a_structure_run_where_it_is_declared(linear, examples):
    """Others have none of them; asked for alone, on a model without it, they say so in one line."""
    swift = suites.get("swift-v1").attacks[-1]
    declared = [stage.name for stage in swift.stages if stage.structure is not None]
    on_all = {
        "raw-pairs": ["relaxed-pairs", "merged", "merged-margin", "joint"],
        "routes": ["relaxed-steering"],
    }
    for structure, expected in on_all.items():
        (_, _, narrowed) = suites.get("swift-v1").attacks_for((structure,))
        names = {stage.name for stage in narrowed.stages}
        assert names & set(declared) == {stage.name for stage in swift.stages if stage.structure == structure}
        seen_by_all = [stage.name for stage in narrowed.stages[: narrowed.cascade_rules.n_on_all]]
        assert seen_by_all == ["constraint-relaxation", *expected]
    few = dataclasses.replace(swift, stages=tuple(stage for stage in swift.stages if stage.structure == "routes"))
    suite = dataclasses.replace(suites.get("swift-v1"), attacks=(PGD(name="pgd-20"), few))
    with pytest.raises(BenchError, match="needs a model with a router") as caught:
        evaluate(linear, examples, threat_model="Linf:1/20", suite=suite)
    assert "\n" not in str(caught.value)
