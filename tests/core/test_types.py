"""Threat models and examples."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import BenchError
from bench.core.types import Examples, Norm, ThreatModel


@pytest.mark.parametrize(
    ("text", "epsilon", "printed", "folder"),
    [
        ("Linf:8/255", Fraction(8, 255), "Linf:8/255", "Linf-8_255"),
        ("linf:4/255", Fraction(4, 255), "Linf:4/255", "Linf-4_255"),
        ("Linf:5/255", Fraction(5, 255), "Linf:5/255", "Linf-5_255"),
        (" L2:0.5 ", Fraction(1, 2), "L2:1/2", "L2-1_2"),
        ("L2:128/255", Fraction(128, 255), "L2:128/255", "L2-128_255"),
        ("L2:3", Fraction(3), "L2:3", "L2-3"),
        ("Linf:0.1", Fraction(1, 10), "Linf:1/10", "Linf-1_10"),
    ],
)
def test_threat_models_are_read_and_printed(text: str, epsilon: Fraction, printed: str, folder: str) -> None:
    """Epsilon is exact, and printed over 255 where that is what was meant."""
    threat_model = ThreatModel.parse(text)
    assert (threat_model.epsilon, str(threat_model), threat_model.folder) == (epsilon, printed, folder)


@given(
    st.sampled_from(Norm),
    st.fractions(min_value=Fraction(1, 10_000), max_value=Fraction(9_999, 10_000), max_denominator=10**21),
)
def test_printed_threat_models_are_read_back(norm: Norm, epsilon: Fraction) -> None:
    """Printing loses nothing."""
    threat_model = ThreatModel(norm=norm, epsilon=epsilon)
    assert ThreatModel.parse(str(threat_model)) == threat_model


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("8", "NORM:EPSILON"),
        ("Linf:0", "above 0"),
        ("Linf:-1/255", "above 0"),
        ("Linf:300/255", "below 1"),
        ("Linf:8/0", "number or a fraction"),
        ("Linf:nan", "number or a fraction"),
        ("L3:8/255", "Unknown norm 'L3'"),
        ("Linf:8:255", "NORM:EPSILON"),
    ],
)
def test_bad_threat_models_are_refused_in_one_line(text: str, message: str) -> None:
    """The message says what was wrong and what was expected."""
    with pytest.raises(BenchError, match=message) as caught:
        ThreatModel.parse(text)
    assert "\n" not in str(caught.value)


def _examples(count: int) -> Examples:
    return Examples(
        inputs=torch.arange(count).float().view(-1, 1, 1, 1) / 100,
        labels=torch.arange(count),
        indices=torch.arange(count) + 10,
    )


def test_examples_are_picked_together() -> None:
    """A slice and a mask pick inputs, labels and indices alike."""
    examples = _examples(5)
    assert examples[1:3].indices.tolist() == [11, 12]
    assert examples[examples.labels > 3].inputs.flatten().tolist() == pytest.approx([0.04])


def test_examples_are_split_without_loss() -> None:
    """The parts, put together, are the examples."""
    parts = list(_examples(7).split(3))
    assert [len(part) for part in parts] == [3, 3, 1]
    assert torch.cat([part.indices for part in parts]).equal(_examples(7).indices)


def test_examples_of_uneven_length_are_refused() -> None:
    """Every input has a label and an index."""
    with pytest.raises(ValueError, match="3, 2 and 3"):
        Examples(inputs=torch.zeros(3, 1, 1, 1), labels=torch.zeros(2), indices=torch.zeros(3))


@pytest.mark.parametrize(
    "text",
    ["L2:1e999999999", "L2:1e-99", "L2:1/" + "9" * 40, "L2:" + "9" * 4000, "Linf:0." + "1" * 5000, "L2:1_0", "L2:nan"],
)
def test_epsilons_that_no_folder_is_named_after_are_refused_at_once(text: str) -> None:
    """An exponent of nine digits is never computed, and the message stays short."""
    with pytest.raises(BenchError, match="Expected epsilon") as caught:
        ThreatModel.parse(text)
    assert len(str(caught.value)) < 200
