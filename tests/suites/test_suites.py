"""Published suites never change."""

from __future__ import annotations

import dataclasses

import pytest

from bench import suites
from bench.attacks import Ensemble
from bench.attacks.autoattack import ApgdCe, AutoAttack, Square
from bench.core.errors import UnknownNameError

PUBLISHED = {
    "adaptive-v1": "dfc24e68da55fd4277c1ef19098710b32b75cbf62632f597fb18bcc31d35c015",
    "adaptive-v2": "027996e6c81ec6f8e4ab4f8f78f13c99d6d7f707bb1b41d81236df992a07ae46",
    "blackbox-v1": "184bfb7a0df0a80cf5131e61984c0cbc65e0833ab6623aacf119b8c97c1ae0a6",
    "cascade-v1": "ecdc496c2c16c63242819d516a4595b5aec8a559455ae04381c0a52db0b735dc",
    "rand-v1": "ef1185ce061452672179bafc61189d7b45b9755bdcfe5a61763e88e725fb2918",
    "quick-v1": "04149afb5db91850175b2c64026855194480d79f1f7fd66b841a5d0f41f334c2",
    "swift-v1": "6c562f08be88022c944a58705cd0266ad806123b0c8cbe9073e011cc1f5c91e9",
    "standard-v1": "edbc90c1454393bfb8db846007d6c0bd3b15898798e2bcb402812e0466db08e1",
}


@pytest.mark.parametrize("name", suites.names())
def test_a_published_suite_keeps_its_digest(name):
    """A suite's attacks and parameters are what they were when it was published."""
    message = f"{name} changed: put it back, and make the next version in a new file of bench/suites"
    assert suites.get(name).digest == PUBLISHED.get(name, "not listed in this test"), message


@pytest.mark.parametrize("name", suites.names())
def test_the_engine_is_no_part_of_the_digest(name):
    """Every engine runs the same suite."""
    assert len({suites.get(name, engine=engine).digest for engine in suites.ENGINES}) == 1


def test_a_suite_without_version_is_the_newest():
    """`standard` is the highest version of it."""
    assert suites.get("standard").label == max(name for name in suites.names() if name.startswith("standard-"))


def test_columns_of_the_standard_suite():
    """The columns of a standard row, and AutoAttack's stages, have the names that people look for."""
    attacks = suites.get("standard-v1").attacks
    assert [attack.name for attack in attacks] == ["fgsm", "pgd-20", "pgd-100", "cw", "autoattack"]
    assert [stage.name for stage in attacks[-1].stages] == ["apgd-ce", "apgd-t", "fab-t", "square"]


def test_the_cascade_is_the_standard_ensemble():
    """Its stages are AutoAttack's own; only who sees them differs."""
    (cascade,) = suites.get("cascade-v1").attacks
    assert cascade.stages == suites.get("standard-v1").attacks[-1].stages


@pytest.mark.parametrize(
    ("name", "expected"),
    [("standrad-v1", "mean 'standard-v1'"), ("nope", "Known: adaptive-v1, adaptive-v2, blackbox-v1")],
)
def test_an_unknown_suite_names_the_nearest(name, expected):
    """A wrong name is answered with the nearest one."""
    with pytest.raises(UnknownNameError, match=expected):
        suites.get(name)


def test_an_unknown_engine_is_refused():
    """An engine that does not exist is named."""
    with pytest.raises(UnknownNameError, match="Unknown engine 'warp'"):
        suites.get("standard", engine="warp")


def test_the_adaptive_suite_is_the_standard_one_with_rules():
    """Every model gets the attacks of the standard suite, whatever the engine; structures bring their own."""
    for engine in suites.ENGINES:
        adaptive, standard = (suites.get(name, engine=engine) for name in ("adaptive-v1", "standard-v1"))
        assert adaptive.plain == standard
        assert adaptive.attacks_for(()) == standard.attacks
    extra = {
        structures: [attack.name for attack in adaptive.attacks_for(structures)[5:]]
        for structures in (("raw-pairs",), ("routes",), ("raw-pairs", "routes"))
    }
    assert list(extra.values()) == [["adaptive-pairs"], ["adaptive-routes"], ["adaptive-pairs", "adaptive-routes"]]


def test_the_second_adaptive_suite_is_the_first_and_constraint_relaxation():
    """On every model, and relaxed on what a structure calls for; what the first has is unchanged."""
    first, second = suites.get("adaptive-v1"), suites.get("adaptive-v2")
    assert second.plain == first.plain
    more = {(): [], ("raw-pairs",): ["relaxed-pairs"], ("routes",): ["relaxed-steering"]}
    for structures, relaxed in more.items():
        names = [attack.name for attack in second.attacks_for(structures)]
        assert names.pop(5) == "constraint-relaxation"
        assert names == [attack.name for attack in first.attacks_for(structures)] + relaxed
        old, new = ([rule.reports for rule in suite.rules_for(structures)] for suite in (first, second))
        assert new == [(), *old]


def test_the_digest_covers_every_rule():
    """A parameter of a rule, of a report, and a rule left out each make another suite."""
    adaptive = suites.get("adaptive-v1")
    first, second = adaptive.rules
    changed = [
        dataclasses.replace(
            first, attacks=(dataclasses.replace(first.attacks[0], stages=first.attacks[0].stages[:-1]),)
        ),
        dataclasses.replace(first, reports=first.reports[:-1]),
        dataclasses.replace(first, structure="routes"),
    ]
    others = [dataclasses.replace(adaptive, rules=(rule, second)) for rule in changed]
    others.append(dataclasses.replace(adaptive, rules=(first,)))
    assert len({suite.digest for suite in (adaptive, *others, suites.get("standard-v1"))}) == 6


def test_rules_need_a_suite_to_extend():
    """A suite with rules says what plain models get; one without extends nothing."""
    with pytest.raises(ValueError, match="together"):
        dataclasses.replace(suites.get("adaptive-v1"), extends=None)
    with pytest.raises(ValueError, match="together"):
        dataclasses.replace(suites.get("standard-v1"), extends=suites.get("quick-v1"))


def test_an_engine_reaches_every_stage():
    """That of an ensemble of one, too, so that a row says what its attacks were run by."""
    alone = Ensemble(name="queries", stages=(Square(),))
    suite = suites.AttackSuite(name="demo", version=1, attacks=(ApgdCe(), alone, AutoAttack()))
    stages = [stage for attack in suites.with_engine(suite, "fast").attacks for stage in attack.stages]
    assert [stage.engine for stage in stages] == ["fast"] * 6
