"""What a row calls robust is attacked by other means, and what falls is stored as others' breaks are."""

from __future__ import annotations

from fractions import Fraction

import pytest

from bench import leaderboard
from bench.attacks import ConstraintRelaxation
from bench.jobs.lookup import Lookup
from bench.jobs.second_opinion import attack, parse_share
from bench.jobs.verify import verify
from bench.row import Level, parse_indices, row_digest, unpack_margins

CPU = Lookup(device="cpu")


def test_what_falls_is_stored_and_lowers_the_headline(weak_row):
    """Of a model that nothing has attacked; the suite's own verdicts stay, and the row holds."""
    before, told, lines = leaderboard.read(weak_row), [], []
    found = attack(weak_row, CPU, closest=Fraction(1, 8), advance=told.append, notify=lines.append)
    margins = unpack_margins(before.result.attacks[0].best_margin, before.result.n_examples)
    least = dict(zip(parse_indices(before.result.indices), margins, strict=True))
    robust = [index for index, kept in zip(least, before.verdicts(), strict=True) if kept]
    assert found.n_survivors == len(robust) and found.tried == tuple(sorted(robust, key=least.__getitem__)[:8])
    assert found.before == tuple(sorted(found.before)) and max(map(float, found.after)) < 0
    after = leaderboard.read(weak_row)
    entries = after.external_breaks
    assert entries == found.kept and {index for each in entries for index in each.indices} == set(found.tried)
    assert {index: each.source for each in entries for index in each.indices} == found.how
    assert {each.by for each in entries} == {"bench verify --attack"}
    assert after.n_robust == before.n_robust - 8 and after.result == before.result
    assert row_digest(after) == row_digest(before)
    assert {check.what: check.level for check in verify(weak_row, CPU).checks}["external"] is Level.PASS
    assert len(lines) == 8 and all("broken by" in line for line in lines) and sum(told) == 8 * found.n_tries
    assert "constraint-relaxation" in found.how.values()


def test_what_is_broken_is_attacked_no_more(weak_row):
    """The next closest are, and the first stay as they are."""
    first = attack(weak_row, CPU, closest=Fraction(1, 16))
    second = attack(weak_row, CPU, closest=Fraction(1, 16))
    assert second.n_survivors == first.n_survivors - len(first.how) and not set(first.tried) & set(second.tried)
    assert len(leaderboard.read(weak_row).external_breaks) == 2


def test_what_fell_before_an_interruption_is_kept(weak_row, monkeypatch):
    """It is stored after each try, so that hours of tries are not lost with the last one."""

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.jobs.second_opinion.MarginAscent.make", interrupted)
    before = leaderboard.read(weak_row).n_robust
    with pytest.raises(KeyboardInterrupt):
        attack(weak_row, CPU, closest=Fraction(1, 8))
    (entry,) = leaderboard.read(weak_row).external_breaks
    assert entry.source == "constraint-relaxation" and leaderboard.read(weak_row).n_robust == before - entry.n
    assert {check.what: check.level for check in verify(weak_row, CPU).checks}["external"] is Level.PASS


def test_a_norm_that_relaxation_does_not_know_has_the_ascents_alone(weak_row, monkeypatch):
    """As in L1, where constraint relaxation has no return to the ball."""
    monkeypatch.setattr(ConstraintRelaxation, "norms", frozenset())
    monkeypatch.delattr(ConstraintRelaxation, "perturb")
    found = attack(weak_row, CPU, closest=Fraction(1, 16))
    assert found.how and not any("relaxation" in each for each in found.how.values())


def test_a_budget_ends_it_between_two_tries(row):
    """And rounds go on until it is over; without a try nothing changes."""
    before = row.read_bytes()
    found = attack(row, CPU, closest=Fraction(1, 50), budget=1e-3)
    assert (found.n_tries, found.out_of_time, found.kept, found.how) == (0, True, (), {})
    assert found.after == found.before and row.read_bytes() == before


@pytest.mark.parametrize(("text", "share"), [("5%", Fraction(1, 20)), ("0.5", Fraction(1, 2)), (" 100% ", Fraction(1))])
def test_a_share_is_a_fraction_or_percent(text, share):
    """Exactly."""
    assert parse_share(text) == share


@pytest.mark.parametrize("text", ["0", "101%", "-5%", "five", "", "%", "1/0", "nan", "1e9999999%", "5%%"])
def test_another_share_is_refused(text, refused):
    """By what was expected."""
    refused(lambda: parse_share(text), "above 0 and at most 100%")
