"""Manifests: what is written is read back, and nothing that does not fit is believed."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import BenchError
from bench.row.manifest import Accuracy, ArchitectureSpec, Manifest

PLAIN = st.one_of(
    st.booleans(), st.integers(-1000, 1000), st.text(max_size=20), st.lists(st.integers(0, 9), max_size=4)
)


def test_reads_what_it_wrote(manifest):
    """A manifest survives the trip through JSON unchanged."""
    assert Manifest.from_json(manifest.to_json()) == manifest


@given(kwargs=st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), PLAIN, max_size=5))
def test_any_plain_argument_survives(kwargs):
    """Architecture arguments survive the trip, whatever plain values they are."""
    spec = ArchitectureSpec(name="resnet18", kwargs=kwargs)
    assert ArchitectureSpec(**json.loads(json.dumps(dataclasses.asdict(spec)))) == spec


def test_text_is_stable(manifest):
    """The same manifest always gives the same text, so that a commit shows what changed."""
    assert manifest.to_json() == Manifest.from_json(manifest.to_json()).to_json()
    assert next(iter(json.loads(manifest.to_json()))) == "model"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"seed": "3"}, "`manifest.seed`"),
        ({"seed": True}, "`manifest.seed`"),
        ({"training_seconds": "long"}, "`manifest.training_seconds"),
        ({"accuracies": {}}, "`manifest.accuracies"),
        ({"differences": [1]}, "`manifest.differences"),
        ({"versions": {"torch": 2}}, "`manifest.versions"),
        ({"schema_version": 99}, "schema version 1, but got 99"),
        ({"sha256": "abc"}, "`sha256`"),
        ({"epochs": 0}, "`epochs` to be at least 1"),
        ({"images": -1}, "`images` to be at least 1"),
        ({"teachers": "trades"}, "`manifest.teachers`"),
        ({"sedd": 3}, "Did you mean 'seed'?"),
        ({"architecture": {"name": "resnet18", "kwargs": {"width": 10**9}}}, "'width'"),
        ({"architecture": {"name": "resnet18", "kwargs": {"width": {"nested": 1}}}}, "'width'"),
        ({"architecture": {"name": "resnet18", "kwargs": {"a b": 1}}}, "'a b'"),
        ({"architecture": {"name": "resnet18", "kwargs": {f"a{i}": 1 for i in range(99)}}}, "at most 32 arguments"),
        ({"architecture": {"kwargs": {}}}, "to have name"),
        ({"architecture": {"name": "resnet18", "kwargs": {"width": float("nan")}}}, "NaN"),
    ],
)
def test_wrong_fields_are_named(manifest, refused, change, says):
    """A field of the wrong type or size, or with an unknown name, is refused by name in one line."""
    values = json.loads(manifest.to_json()) | change
    refused(lambda: Manifest.from_json(json.dumps(values)), says)


@pytest.mark.parametrize("text", ["", "[]", "nonsense", "[" * 100_000, '{"schema_version": 1}'])
def test_other_texts_are_refused(refused, text):
    """Text that is no manifest is refused in one line."""
    refused(lambda: Manifest.from_json(text))


def test_large_and_missing_files_are_refused(tmp_path, refused):
    """A manifest that is missing, huge or no text is refused, and the file is named."""
    path = tmp_path / "digits.json"
    refused(lambda: Manifest.read(path), "digits.json")
    path.write_bytes(b" " * (2 << 20))
    refused(lambda: Manifest.read(path), "digits.json", "at most 1,048,576")
    path.write_bytes(b"\xff\xfe\xff")
    refused(lambda: Manifest.read(path), "digits.json")


def test_accuracy_is_a_ratio_of_counts(manifest):
    """An accuracy is derived from its counts, and counts that contradict each other are refused."""
    assert manifest.accuracy("clean").fraction == 0.75
    assert manifest.accuracy("pgd20") is None
    with pytest.raises(BenchError, match="0 to 5 correct"):
        Accuracy(name="clean", checkpoint="best", split="test", n_examples=5, n_correct=6)


def test_accuracy_prefers_the_test_split(manifest):
    """Without a split, an accuracy on the test split comes before one on held-out training images."""
    test = Accuracy(name="clean", checkpoint="best", split="test", n_examples=10, n_correct=1)
    both = dataclasses.replace(manifest, accuracies=(*manifest.accuracies, test))
    assert both.accuracy("clean") == test
    assert both.accuracy("clean", split="validation") == manifest.accuracies[0]
