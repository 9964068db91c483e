"""Tests and intervals of counts, by hand and against scipy, from ten examples to the largest test split."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
import time
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.core import statistics
from bench.core.statistics import (
    CONFIDENCE,
    binomial_tail,
    holm,
    hypergeometric,
    mcnemar,
    most_missed,
    signed_rank,
    wilson,
)

SIZES = [10, 1_000, 10_000, 50_000]
BEYOND = 10**9
"""More examples than anything that sums over them, or multiplies whole numbers of that many digits, could take."""


def test_importing_them_imports_no_scipy():
    """Most commands need no test, and are quicker than scipy's import."""
    script = "import sys, bench.core.statistics, bench.leaderboard; assert 'scipy' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_tails_by_hand():
    """Three of three fair coins: 1/8; one of two at a tenth: 1 - 0.81; nothing is always reached."""
    assert binomial_tail(3, 3, 0.5) == 1 / 8
    assert binomial_tail(1, 2, 0.1) == pytest.approx(0.19)
    assert binomial_tail(0, 5, 0.0) == binomial_tail(0, 0, 0.5) == 1
    assert binomial_tail(1, 5, 0.0) == 0
    assert binomial_tail(5, 5, 1.0) == 1


@given(st.integers(0, 60), st.floats(0, 1))
def test_tails_fall_with_the_count(total, rate):
    """A larger count is never likelier, and all of them are probabilities."""
    tails = [binomial_tail(count, total, rate) for count in range(total + 1)]
    assert all(0 <= tail <= 1 for tail in tails)
    assert all(later <= earlier + 1e-9 for earlier, later in itertools.pairwise(tails))


@pytest.mark.parametrize("total", SIZES)
@pytest.mark.parametrize("rate", [0.0, 0.001, 0.05, 0.1, 0.5, 1.0])
def test_tails_are_scipys(total, rate):
    """At every size, near the expected count, far above it and at the ends."""
    spread = math.isqrt(total)
    near = (int(rate * total) + step * spread for step in (-3, -1, 0, 1, 3))
    for count in {0, 1, total // 2, total - 1, total, *(min(max(0, each), total) for each in near)}:
        expected = stats.binom.sf(count - 1, total, rate)
        assert binomial_tail(count, total, rate) == pytest.approx(expected, rel=1e-9, abs=1e-300), count


def test_tails_of_any_total():
    """Half of so many coins, or more, come up half of the time."""
    assert binomial_tail(BEYOND // 2, BEYOND, 0.5) == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize(
    ("gained", "lost", "p"),
    [(0, 0, 1.0), (3, 3, 1.0), (0, 1, 1.0), (0, 5, 0.0625), (0, 6, 0.03125), (1, 9, 22 / 1024), (2, 10, 158 / 4096)],
)
def test_mcnemar_is_exact(gained, lost, p):
    """Values that binomial coefficients give by hand."""
    assert mcnemar(gained, lost) == mcnemar(lost, gained) == pytest.approx(p, rel=1e-14)


@settings(deadline=None)
@given(st.integers(0, 300), st.integers(0, 300))
def test_mcnemar_agrees_with_the_binomial_test(gained, lost):
    """Whatever the flips."""
    expected = stats.binomtest(gained, gained + lost).pvalue if gained + lost else 1.0
    assert mcnemar(gained, lost) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("flips", SIZES)
def test_mcnemar_of_many_flips(flips):
    """Even, a little and wholly uneven."""
    for gained in (0, flips // 3, flips // 2 - math.isqrt(flips), flips // 2):
        expected = stats.binomtest(gained, flips).pvalue
        assert mcnemar(gained, flips - gained) == pytest.approx(expected, rel=1e-9, abs=1e-300)
    assert mcnemar(BEYOND, BEYOND) == 1.0


def test_the_hypergeometric_chance_by_hand():
    """4 of 8 are marked; none among 2 drawn: (4 choose 2) / (8 choose 2) = 6/28, on two sides 12/28."""
    assert hypergeometric(0, n_drawn=2, n_marked=4, n_population=8) == pytest.approx(12 / 28)


@settings(deadline=None)
@given(st.integers(1, 60), st.data())
def test_the_hypergeometric_chance_is_a_probability(population, data):
    """Whatever the counts, and the likeliest count surprises nobody."""
    marked = data.draw(st.integers(0, population))
    drawn = data.draw(st.integers(1, population))
    possible = range(max(0, drawn - (population - marked)), min(marked, drawn) + 1)
    chances = [hypergeometric(found, n_drawn=drawn, n_marked=marked, n_population=population) for found in possible]
    assert all(0 < chance <= 1 for chance in chances)
    assert max(chances) > 0.5


@pytest.mark.parametrize("population", SIZES)
def test_the_hypergeometric_chance_in_whole_numbers(population):
    """Of half of the population, where 80 % are marked: a tail summed up in whole numbers, term by term."""
    marked, drawn = 8 * population // 10, population // 2
    least = drawn - (population - marked)
    few = 8 * drawn // 10 - math.isqrt(population) // 2
    term = tail = Fraction(1)
    for found in range(few, max(least, few - 400), -1):  # terms below the last one that counts, relative to it
        term *= Fraction(found * (population - marked - drawn + found), (marked - found + 1) * (drawn - found + 1))
        term = Fraction(float(term))  # of 53 bits, so that the whole numbers stay short
        tail += term
    logarithm = _log_choose(marked, few) + _log_choose(population - marked, drawn - few)
    expected = 2 * float(tail) * math.exp(logarithm - _log_choose(population, drawn))
    found = hypergeometric(few, n_drawn=drawn, n_marked=marked, n_population=population)
    assert found == pytest.approx(min(1.0, expected), rel=1e-6)


def _log_choose(total, count):
    return math.lgamma(total + 1) - math.lgamma(count + 1) - math.lgamma(total - count + 1)


@pytest.mark.parametrize("population", [1, 7, 40])
def test_the_bound_is_that_of_the_hypergeometric_distribution(population):
    """The largest number of breaks that an audit misses altogether with a chance of 5 %."""
    for audited in range(1, population + 1):
        possible = range(population - audited + 1)
        largest = max(n for n in possible if stats.hypergeom.cdf(0, population, n, audited) >= 0.05 - 1e-12)
        assert most_missed(population, audited) == largest, audited


@pytest.mark.parametrize("population", SIZES)
@pytest.mark.parametrize("share", [100, 10, 3, 2])
def test_the_bound_at_every_size(population, share):
    """One break more would have been missed less often than once in twenty audits."""
    audited = max(1, population // share)
    bound = most_missed(population, audited)
    allowed = 1 - CONFIDENCE
    assert stats.hypergeom.pmf(0, population, bound, audited) >= allowed * (1 - 1e-9)
    assert stats.hypergeom.pmf(0, population, bound + 1, audited) < allowed


def test_the_bound_is_quick_and_exact_where_it_is_a_tie():
    """Of 20, one audited misses 19 breaks exactly once in 20 audits; and a thousand million take no time."""
    assert most_missed(20, 1) == 19
    assert most_missed(BEYOND, BEYOND // 2) == 4
    assert most_missed(BEYOND, 3) == pytest.approx(BEYOND * (1 - 0.05 ** (1 / 3)))


def test_the_bound_after_many_breaks_is_quick(monkeypatch):
    """A row of a million examples is read in a second; in floating point it is what whole numbers give."""
    begin = time.process_time()
    assert most_missed(1_000_000, 500_000, 100_000) == pytest.approx(100_000 + 1.645 * 400, abs=3)
    assert time.process_time() - begin < 10
    generator = np.random.default_rng(0)
    cases = [(n, *sorted(generator.integers(0, n + 1, 2), reverse=True)) for n in generator.integers(1, 300, 300)]
    cases = [tuple(map(int, case)) for case in (*cases, (20, 1, 0), (5_000, 2_000, 300))]
    quick = [most_missed(*case) for case in cases]
    monkeypatch.setattr(statistics, "_DOUBT", math.inf)
    assert quick == [most_missed(*case) for case in cases]


def test_an_audit_of_everything_leaves_nothing():
    """And one of nothing leaves everything."""
    assert most_missed(50, 50) == most_missed(0, 0) == 0
    assert most_missed(50, 0) == 50


@pytest.mark.parametrize(("n_population", "n_audited", "n_breaks"), [(30, 9, 1), (30, 9, 3), (12, 8, 8), (200, 20, 2)])
def test_the_bound_after_breaks_is_the_last_that_is_not_ruled_out(n_population, n_audited, n_breaks):
    """By the distribution counted out: so few breaks have 5 % or more up to the bound, and less above it."""

    def chance(n_broken):
        return sum(
            math.comb(n_broken, found) * math.comb(n_population - n_broken, n_audited - found)
            for found in range(n_breaks + 1)
        ) / math.comb(n_population, n_audited)

    missed = most_missed(n_population, n_audited, n_breaks)
    possible = [n for n in range(n_breaks, n_population - n_audited + n_breaks + 1) if chance(n) >= 0.05]
    assert missed == max(possible) - n_breaks
    assert missed >= most_missed(n_population - n_breaks, n_audited - n_breaks)


def test_the_bound_after_breaks_holds_in_nineteen_of_twenty_audits():
    """Whatever the truth: audits of one draw each, with a planted number of breaks."""
    random = Random(0)
    for n_broken in (1, 10, 40):
        short = 0
        for _ in range(400):
            found = sum(position < n_broken for position in random.sample(range(400), 25))
            short += most_missed(400, 25, found) < n_broken - found
        assert short <= 0.05 * 400 + 3 * math.sqrt(0.05 * 0.95 * 400)


@pytest.mark.parametrize("counts", [(10, 11), (10, -1), (-1, 0), (10, 5, 6), (10, 5, -1)])
def test_audits_that_cannot_be_are_refused(counts):
    """By name."""
    with pytest.raises(ValueError, match="Expected 0 <= `n_breaks` <= `n_audited`"):
        most_missed(*counts)


@pytest.mark.parametrize(
    ("p_values", "rejected"),
    [
        ((0.05,), (True,)),
        ((0.051,), (False,)),
        ((0.025, 0.05), (True, True)),
        ((0.03, 0.03), (False, False)),
        ((0.04, 0.01, 0.03), (False, True, False)),
        ((0.01, 0.02, 0.04), (True, True, True)),
        ((), ()),
    ],
)
def test_holm_steps_down(p_values, rejected):
    """The smallest against 5 % / n, the next against 5 % / (n - 1), until one fails."""
    assert holm(p_values, 0.05) == rejected


@pytest.mark.parametrize("n_tests", SIZES)
def test_holm_of_many_tests(n_tests):
    """Every p is smaller than the level allows at its own step but for the last rejected one's successor."""
    p_values = [0.04 / (n_tests - step) for step in range(n_tests // 2)] + [0.9] * (n_tests - n_tests // 2)
    assert holm(p_values[::-1], 0.05)[::-1] == tuple(step < n_tests // 2 for step in range(n_tests))


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([], 1.0),
        ([0.0, 0.0], 1.0),
        ([1.0], 1.0),
        ([1.0, 2.0, 3.0, 4.0, 5.0], 2 / 32),
        ([-1.0, 2.0, 3.0, 4.0, 5.0], 4 / 32),
        ([1.0, -1.0], 1.0),
        ([1.0, 2.0, 3.0, 4.0, math.inf], 2 / 32),
    ],
)
def test_signed_ranks_of_small_samples_are_counted_out(differences, p):
    """By hand, over all signs."""
    assert signed_rank(differences) == p


@settings(deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=40, max_size=80))
def test_signed_ranks_agree_with_scipy(differences):
    """With zeros and ties."""
    assume(sum(value != 0 for value in differences) > 30)
    expected = stats.wilcoxon(differences, zero_method="wilcox", correction=True, method="approx").pvalue
    ours = signed_rank(differences)
    assert ours == pytest.approx(expected, rel=0.2, abs=0.01)
    assert ours == pytest.approx(signed_rank([-value for value in differences]))


@pytest.mark.parametrize("n_pairs", SIZES)
@pytest.mark.parametrize("shift", [0.0, 0.02, 3.0])
def test_signed_ranks_of_many_pairs_are_scipys(n_pairs, shift):
    """Counted out below 30 pairs, normal above; also where nearly all point one way."""
    differences = np.random.default_rng(0).normal(shift, 1.0, n_pairs)
    method = "exact" if n_pairs <= 30 else "approx"
    expected = stats.wilcoxon(differences, correction=n_pairs > 30, method=method).pvalue
    assert signed_rank(differences.tolist()) == pytest.approx(expected, rel=1e-6, abs=1e-300)


def test_the_interval_is_wilsons():
    """The interval of 81 in 263 is the one that Newcombe 1998 (table I, method 3) prints."""
    assert [round(end, 4) for end in wilson(81, 263)] == [0.2553, 0.3662]


@pytest.mark.parametrize(("n_correct", "low", "high"), [(0, 0.0, 0.1611), (20, 0.8389, 1.0)])
def test_the_interval_stays_in_range_at_the_ends(n_correct, low, high):
    """None and all of 20 give one-sided intervals inside [0, 1], as Newcombe 1998 prints for 0 of 20."""
    assert [round(end, 4) for end in wilson(n_correct, 20)] == [low, high]


@pytest.mark.parametrize("total", SIZES)
def test_intervals_are_scipys(total):
    """At the ends, near them and in the middle."""
    for count in (0, 1, total // 3, total - 1, total):
        expected = stats.binomtest(count, total).proportion_ci(0.95, "wilson")
        assert wilson(count, total) == pytest.approx((expected.low, expected.high), abs=1e-12)


@pytest.mark.parametrize(("n_correct", "n_examples"), [(-1, 5), (6, 5), (0, 0)])
def test_impossible_counts_are_refused(n_correct, n_examples):
    """Counts that cannot be are an error."""
    with pytest.raises(ValueError, match="Expected 0 <="):
        wilson(n_correct, n_examples)
