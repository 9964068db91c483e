"""Suites of the user's own: from a file, under a name of their own, known by what they do."""

from __future__ import annotations

import pytest

from bench import suites
from bench.core.errors import BenchError

PLAIN = """
from bench.attacks import get
from bench.suites import AttackSuite

ENTRY = AttackSuite(name="mine", version=1, attacks=(get("fgsm"), get("pgd-20")))
EMPTY = AttackSuite(name="mine", version=1, attacks=())
TWICE = AttackSuite(name="mine", version=1, attacks=(get("fgsm"), get("fgsm")))
PATH = AttackSuite(name="../mine", version=1, attacks=(get("fgsm"),))
STRANGER = AttackSuite(name="mine", version=1, attacks=(get("fgsm"), object()))
NUMBER = 3
"""

NOISE = """
from dataclasses import dataclass

import torch

from bench.attacks import SingleAttack
from bench.suites import AttackSuite


@dataclass(frozen=True, kw_only=True)
class Noise(SingleAttack):
    name: str = "noise"

    def perturb(self, classifier, examples, threat_model, *, seed):
        return (examples.inputs + float(threat_model.epsilon)).clamp(0, 1)


ENTRY = AttackSuite(name="noisy", version=2, attacks=(Noise(),))
"""


@pytest.fixture
def written(tmp_path):
    """Write a file and name an entry of it."""

    def made(text, entry="ENTRY"):
        (tmp_path / "suite.py").write_text(text)
        return f"{tmp_path / 'suite.py'}:{entry}"

    return made


def test_a_suite_in_a_file_has_a_name_that_no_published_one_has(written):
    """Of bench's attacks, it is known by their parameters: a comment in its file makes it no other suite."""
    suite = suites.get(written(PLAIN))
    assert suite.label == "own-mine-v1"
    assert [attack.name for attack in suite.attacks] == ["fgsm", "pgd-20"]
    assert suites.get(written(f"# a comment\n{PLAIN}")).digest == suite.digest


def test_attacks_in_the_file_are_part_of_what_the_suite_is(written):
    """A changed attack of the same parameters is another suite."""
    first = suites.get(written(NOISE))
    again = suites.get(written(NOISE))
    changed = suites.get(written(NOISE.replace("+ float", "- float")))
    assert first.digest == again.digest != changed.digest
    assert first.label == changed.label == "own-noisy-v2"


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ("ENTRIES", "Known: EMPTY, ENTRY, NUMBER, PATH, STRANGER, TWICE"),
        ("NUMBER", "to be an AttackSuite, but it is a int"),
        ("STRANGER", "extend bench.attacks.SingleAttack"),
        ("EMPTY", "attacks of different names"),
        ("TWICE", "fgsm, fgsm"),
        ("PATH", "'../mine'"),
    ],
)
def test_what_is_no_suite_is_refused_in_one_line(written, entry, text):
    """With what was found there."""
    with pytest.raises(BenchError) as caught:
        suites.get(written(PLAIN, entry))
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_used_are_refused(written, tmp_path):
    """None there, none that runs, no entry named, and the name of such a suite in place of its file."""
    for name, text in (
        (f"{tmp_path / 'none.py'}:ENTRY", "No file"),
        (written("raise ValueError('no')"), "ValueError: no"),
        (str(tmp_path / "suite.py"), "add the name of the entry"),
        ("own-mine-v1", "somebody's own"),
    ):
        with pytest.raises(BenchError, match=text):
            suites.get(name)
