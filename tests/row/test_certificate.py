from __future__ import annotations

import pytest

from bench.core.errors import ContradictionError
from bench.row import Certificate, pack_verdicts


def made(indices: str, *proved: bool, code: str = "c") -> Certificate:
    return Certificate(
        method="by hand", code=code, model="m", indices=indices, n_proved=sum(proved), proved=pack_verdicts(proved)
    )


def test_it_knows_which_examples_it_is_about() -> None:
    """Positions in the official split, not in the row."""
    assert made("4:6,9:10", True, False, True).proved_indices() == {4, 9}


def test_its_count_is_that_of_its_verdicts() -> None:
    """As everywhere in a row."""
    with pytest.raises(ContradictionError, match="n_proved"):
        Certificate(method="", code="", model="", indices="0:2", n_proved=2, proved=pack_verdicts([True, False]))


def test_two_of_the_same_code_and_weights_are_joined() -> None:
    """In the order of the split; of other code, the later one alone counts."""
    first, second = made("4:6", True, False), made("0:2,5:6", False, True, True)
    assert first.joined(second) == made("0:2,4:6", False, True, True, True)
    other = made("0:1", True, code="d")
    assert first.joined(other) == other
