from __future__ import annotations

import pytest

from bench.diagnostics.check import by_pairs, by_share, is_significant
from bench.row.check_result import Level


@pytest.mark.parametrize(("count", "chance", "found"), [(3, 0.009, True), (3, 0.01, False), (2, 0.0, False)])
def test_a_finding_needs_three_examples_and_a_small_chance(count, chance, found):
    """Both, not one of them."""
    assert is_significant(count, chance) is found


@pytest.mark.parametrize(
    ("bad", "total", "tolerated", "status"),
    [
        (0, 100, 0.0, "pass"),
        (1, 100, 0.0, "warn"),
        (2, 100, 0.0, "warn"),
        (3, 100, 0.0, "fail"),
        (5, 100, 0.05, "pass"),
        (6, 100, 0.05, "warn"),
        (11, 100, 0.05, "warn"),  # the tail is 0.0115
        (12, 100, 0.05, "fail"),  # 0.0043
        (0, 0, 0.0, "not applicable"),
    ],
)
def test_shares_are_judged_by_the_exact_tail(bad, total, tolerated, status):
    """More than tolerated warns; only what chance does not explain fails."""
    assert by_share(bad, total, tolerated=tolerated, evidence="So it is.").level.value == status


@pytest.mark.parametrize(
    ("more", "less", "status"), [(0, 0, "pass"), (6, 0, "pass"), (7, 0, "fail"), (10, 1, "fail"), (10, 4, "pass")]
)
def test_pairs_are_judged_by_the_sign_test(more, less, status):
    """Six to none has a chance of 1/64, seven of 1/128."""
    assert by_pairs(more, less, 50, evidence="So it is.").level.value == status


def test_what_only_warns_never_fails():
    """The worst level is the check's to say."""
    assert by_share(50, 50, tolerated=0.0, evidence="So it is.", worst=Level.WARN).level is Level.WARN
    assert by_pairs(50, 0, 50, evidence="So it is.", worst=Level.WARN).level is Level.WARN


@pytest.mark.parametrize("total", [1_000, 10_000, 50_000])
def test_whole_test_splits_are_judged(total):
    """As many as are tolerated pass, five times as many fail; so does a weaker attack that breaks twice as many."""
    assert by_share(total // 500, total, tolerated=0.002, evidence="So it is.").level is Level.PASS
    assert by_share(total // 100, total, tolerated=0.002, evidence="So it is.").level is Level.FAIL
    assert by_pairs(total // 10, total // 10, total, evidence="So it is.").level is Level.PASS
    assert by_pairs(total // 5, total // 10, total, evidence="So it is.").level is Level.FAIL
