"""Two rows, example by example."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from math import inf

import pytest

from bench.leaderboard.compare import compare
from bench.leaderboard.compare.agreement import Cause, agree
from bench.row.fingerprint import Fingerprint
from bench.row.packing import pack_logits, pack_verdicts
from bench.row.record import ExternalBreak, Record


def test_flips_are_named_by_official_index(record: Callable[..., Record]) -> None:
    """On the examples that both rows have, wherever the rows start."""
    first = record([True, True, False, True, True], start=10)
    second = record([False, True, True, True], start=12)
    comparison = compare(first, second)
    clean, attack, robust = comparison.columns
    assert comparison.comparable and comparison.same_checkpoint and comparison.same
    assert (clean.same, clean.n_examples) == (True, 3)
    assert (attack.name, attack.gained, attack.lost, attack.n_robust) == ("pgd-20", (), (), (2, 2))
    third = compare(first, record([True, False, False, True], start=12)).columns[1]
    assert (third.gained, third.lost, third.p) == ((12,), (13, 14), 1.0)
    assert robust.n_robust == (2, 2)


def test_margins_show_what_verdicts_do_not(record: Callable[..., Record]) -> None:
    """A weakened attack moves margins first; equal infinities do not differ, unequal ones do."""
    first = record([True, False], margins=[0.5, -inf])
    assert compare(first, record([True, False], margins=[0.5, -inf])).same
    changed = compare(first, record([True, False], margins=[0.75, -inf]))
    assert not changed.same and changed.columns[1].largest_margin_change == 0.25
    assert compare(first, record([True, False], margins=[0.5, -1.0])).columns[1].largest_margin_change == inf


def test_unlike_rows_are_not_compared(record: Callable[..., Record]) -> None:
    """Each obstacle is named, and nothing is counted."""
    first = record([True, False])
    other = dataclasses.replace(first.digests, suite="t" * 64, dataset="e" * 64)
    for second, obstacle in [
        (record([True, False], digests=other), "suite digest"),
        (record([True, False], threat_model="L2:1/2"), "threat model: Linf:8/255 and L2:1/2"),
        (record([True, False], seed=1), "seed: 0 and 1"),
        (record([True, False], start=2), "no common examples: 0:2 and 2:4"),
        (record([True, False], dataset="svhn"), "dataset: cifar10 and svhn"),
    ]:
        comparison = compare(first, second)
        assert not comparison.comparable and not comparison.columns and not comparison.same
        assert any(text.startswith(obstacle) for text in comparison.obstacles)


def test_the_attack_that_makes_the_difference_is_told(record: Callable[..., Record]) -> None:
    """Of what only the first row keeps, the second loses one when clean and two to attacks, one to one alone."""
    first = record([True] * 4)
    both = (first.result.attacks[0], dataclasses.replace(first.result.attacks[0], name="cw"))
    first = dataclasses.replace(first, result=dataclasses.replace(first.result, attacks=both))
    broken = {"pgd-20": [False, True, False, True], "cw": [False, False, False, True]}
    attacks = tuple(
        dataclasses.replace(attack, robust=pack_verdicts(broken[attack.name]), n_robust=sum(broken[attack.name]))
        for attack in both
    )
    clean = pack_verdicts([False, True, True, True])
    result = dataclasses.replace(first.result, clean=clean, n_clean=3, attacks=attacks, n_robust=1)
    second = dataclasses.replace(first, result=result)
    told = {each.name: (each.lost, each.lost_alone, each.gained) for each in compare(first, second).explanations}
    assert told == {"clean": (1, 1, 0), "pgd-20": (1, 0, 0), "cw": (2, 1, 0)}
    turned = {each.name: (each.gained, each.gained_alone, each.lost) for each in compare(second, first).explanations}
    assert turned == told


def test_another_checkpoint_is_comparable_and_said_so(record: Callable[..., Record]) -> None:
    """Two models on the same question."""
    first = record([True, False])
    second = record([True, True], digests=dataclasses.replace(first.digests, model="n" * 64))
    assert compare(first, second).comparable and not compare(first, second).same_checkpoint


def test_models_of_different_structure_meet_on_common_attacks(record: Callable[..., Record]) -> None:
    """With a column more in one, they meet on what they share and on the whole; a model with itself does not."""
    first = record([True, True])
    more = dataclasses.replace(
        first.result.attacks[0], name="adaptive-pairs", robust=pack_verdicts([True, False]), n_robust=1
    )
    result = dataclasses.replace(first.result, attacks=(*first.result.attacks, more), n_robust=1)
    other = dataclasses.replace(first, result=result, digests=dataclasses.replace(first.digests, model="n" * 64))
    found = compare(first, other)
    assert [column.name for column in found.columns] == ["clean", "pgd-20", "robust"]
    assert found.columns[-1].n_robust == (2, 1)
    assert compare(first, dataclasses.replace(first, result=result)).obstacles[0].startswith("attacks: pgd-20 and")


def test_what_others_broke_is_compared_apart(record: Callable[..., Record]) -> None:
    """The headline is a column of its own; the rows' results are the same with and without."""
    plain = record([True, True, False])
    entry = ExternalBreak(source="a", by="b", date="2026-01-01", n=1, indices=(1,))
    broken = record([True, True, False], external_breaks=(entry,))
    assert compare(plain, plain).headline is None
    found = compare(plain, broken)
    assert found.same and found.columns[-1].n_robust == (2, 2)
    assert found.headline is not None
    assert (found.headline.n_robust, found.headline.lost, found.headline.gained) == ((2, 1), (1,), ())


@pytest.mark.parametrize("n_examples", [10, 1_000, 10_000, 50_000])
def test_rows_of_any_size_are_compared(record: Callable[..., Record], n_examples: int) -> None:
    """With no flip, some, and half of the examples: every probability is one, and what is no chance is called so."""
    first = record([True] * n_examples, dataset="mine")
    for n_flips in (0, n_examples // 20, n_examples // 2):
        second = record([place >= n_flips for place in range(n_examples)], dataset="mine")
        column, agreement = compare(first, second).columns[-1], agree(first, second)
        (attack,) = agreement.attacks
        assert len(column.lost) == n_flips == len(attack.lost)
        chances = (column.p, attack.p_flips, attack.p_margins)
        assert all(0 <= chance <= 1 for chance in chances)
        assert (column.p < 0.05) == (n_flips > 5)
        assert agreement.fine == (n_flips < 2)


def _fingerprint(*logits: float) -> Fingerprint:
    return Fingerprint(logits={"a": pack_logits(logits)})


def test_a_changed_source_is_the_same_checkpoint_where_the_function_is(record: Callable[..., Record]) -> None:
    """As far as fingerprints say so: without one, and with another one, it is another checkpoint."""
    first = record([True, False], fingerprint=_fingerprint(1.0, 2.0))
    moved = dataclasses.replace(first, digests=dataclasses.replace(first.digests, factory="g" * 64))
    assert compare(first, moved).same_checkpoint and compare(first, moved).same_function
    for other in (None, _fingerprint(1.0, 3.0)):
        assert not compare(first, dataclasses.replace(moved, fingerprint=other)).same_checkpoint


def test_another_function_of_the_same_weights_and_source_is_told(record: Callable[..., Record]) -> None:
    """Without a flipped verdict: the model changed, more than a coarser arithmetic explains."""
    first = record([True, False], fingerprint=_fingerprint(1.0, 2.0))
    for logit, cause in ((2.0, Cause.NOTHING), (2.001, Cause.NOTHING), (3.0, Cause.MODEL)):
        second = dataclasses.replace(first, fingerprint=_fingerprint(1.0, logit))
        assert compare(first, second).same_checkpoint
        assert compare(first, second).same_function is (logit == 2.0)
        assert agree(first, second).cause is cause
    assert "its logits on fixed inputs differ by 0.33 of the largest" in agree(first, second).explanation
