from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from pyautoattack import checks

from bench.core.errors import BenchError
from bench.diagnostics import HONEST, TRAPS, is_wrong, predict
from bench.jobs import conformance as job
from bench.jobs.conformance import Case, Held, Request, Said, conformance
from bench.jobs.known_answers import CLOSED_FORM, Truth, known_answers

LINEAR = "linear, 10 classes, Linf"


def case(said: Said, truth: Truth, kind: str = "batch size") -> Case:
    held = Held(said=said, verdict=job._verdict(said, truth, 64))
    return Case(
        name="x", kind=kind, threat_model="L2:1", n_examples=64, truth=truth, suite=held, reference=None, seconds=1.0
    )


def test_a_closed_form_is_met_from_above():
    """The suite calls no example broken that cannot be, nearly all that can be, and counts the correct ones."""
    events = []
    found = conformance(Request(only=(CLOSED_FORM,), samples=16), on_progress=events.append)
    assert [each.kind for each in found] == [CLOSED_FORM] * 4
    for each in found:
        assert each.truth.least == each.truth.most < each.truth.clean == each.suite.said.clean
        assert each.truth.least <= each.suite.said.robust <= each.truth.most + 2
        assert each.suite.verdict == "true" and not each.suite.lied and each.reference is None
    assert [event.task for event in events] == [*(each.name for each in found), ""]
    assert events[0].eta is None and events[-1].eta == 0
    assert [event.case for event in events] == [None, *found]


@pytest.mark.parametrize(
    ("clean", "robust", "doubts", "verdict", "lied"),
    [
        (60, 32, (), "true", False),
        (60, 33, (), "too high", True),
        (60, 33, ("R8",), "too high", False),
        (60, 9, (), "wrong", True),
        (60, 9, ("R1",), "wrong", False),
        (59, 20, (), "wrong", True),
        (None, None, (), "refused", False),
    ],
)
def test_what_is_a_lie(clean, robust, doubts, verdict, lied):
    """Too high by three examples and two points, below what is proved, or another clean number; none with a doubt."""
    held = case(Said(clean=clean, robust=robust, doubts=doubts), Truth(clean=60, least=10, most=30)).suite
    assert (held.verdict, held.lied) == (verdict, lied)


def test_two_points_of_many_examples_are_no_lie():
    """Strength and honesty are two things."""
    truth = Truth(clean=7720, least=24, most=6141)
    assert job._verdict(Said(clean=7720, robust=6341), truth, 10_000) == "true"
    assert job._verdict(Said(clean=7720, robust=6342), truth, 10_000) == "too high"


def test_a_false_alarm_is_a_failed_check_of_an_honest_model():
    """A warning is none, nor is a failure where the number is off."""
    truth = Truth(clean=60, least=0, most=30)
    failed = Said(clean=60, robust=30, doubts=("R8",), failed=("R8",))
    assert case(failed, truth, HONEST).false_alarm
    assert not case(failed, truth).false_alarm
    assert not case(Said(clean=60, robust=30, doubts=("R8",)), truth, HONEST).false_alarm
    assert not case(Said(clean=60, robust=50, doubts=("R8",), failed=("R8",)), truth, HONEST).false_alarm


def test_a_trap_is_too_high_and_doubted():
    """By far, and by the check that is about its kind."""
    (found,) = conformance(Request(only=("one-hot and a linear term",), samples=8))
    assert found.suite.verdict == "too high" and found.suite.said.robust > 5 > found.truth.most
    assert "R8" in found.suite.said.failed and not found.suite.lied


def test_the_authors_package_is_asked_too():
    """A closed form it meets; two classes it cannot do, which is no number."""
    linear, binary = conformance(Request(only=(LINEAR, "linear, 2 classes, Linf"), samples=3, reference=True))
    assert linear.reference is not None and linear.reference.verdict == "true"
    assert linear.reference.said.robust == linear.truth.most
    assert binary.reference is not None and binary.reference.verdict == "refused"


def test_its_warnings_are_its_doubts():
    """Each once, as a word; its remark on the number of classes is none."""
    log, logger = job._Warnings(), logging.getLogger("auto-attack")
    logger.addHandler(log)
    for _ in range(2):
        checks.check_zero_gradients(torch.zeros(1, 1), logger=logger)
        checks.check_square_sr({"clean": 1.0, "apgd-ce": 0.9, "square": 0.5}, logger=logger)
        checks.check_n_classes(3, ["apgd-t", "fab-t"], 9, 9, logger=logger)
    logger.removeHandler(log)
    assert log.words == ("zero gradient", "Square")


def test_a_model_that_is_refused_has_no_number(monkeypatch):
    """And the reason beside it."""

    def refusing(*args, **options):
        raise BenchError("no such thing")

    monkeypatch.setattr(job, "evaluate", refusing)
    (found,) = conformance(Request(only=(LINEAR,), samples=4))
    assert (found.suite.verdict, found.suite.said.refused, found.suite.lied) == ("refused", "no such thing", False)


def test_the_set_is_the_zoo_and_closed_forms():
    """Each under a name of its own; what others published only where it is."""
    names = [each.name for each in known_answers(samples=4)]
    assert len(set(names)) == len(names) == 4 + len(TRAPS)


def test_what_others_published_comes_from_a_folder(known_answers_folder: Path, cifar10_dir: Path):
    """All 10,000 images, and as many correct as its authors say."""
    first, second, *_ = known_answers(samples=4, folder=known_answers_folder, data_dir=cifar10_dir)
    assert [first.name, second.name] == ["ResNet-4B, Linf:2/255", "ResNet-4B, Linf:1/255"]
    model = first.build()
    wrong = is_wrong(predict(model.module, model.examples.inputs), model.examples.labels)
    assert len(wrong) - int(wrong.sum()) == model.truth().clean == 7720


@pytest.fixture
def known_answers_folder(known_answers: Path) -> Path:
    return known_answers


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"only": ("linear, 10 clases, Linf",)}, f"Did you mean {LINEAR!r}"),
        ({"only": ("published",)}, "--known-answers FOLDER"),
        ({"samples": 0}, "at least 1 sample"),
        ({"samples": 100_000}, "100000"),
        ({"suite": "quick-v9"}, "Unknown suite 'quick-v9'"),
        ({"known_answers": Path("nowhere")}, "nowhere/resnet4b/resnet4b.pth"),
        ({"device": "tpu"}, "No device 'tpu'"),
    ],
)
def test_a_mistake_is_refused_before_anything_runs(change, why, refused):
    """By name, in one line."""
    refused(lambda: conformance(Request(**change), on_progress=pytest.fail), why)


def test_other_weights_are_refused(tmp_path: Path, cifar10_dir: Path, refused):
    """They are not those that were published."""
    (tmp_path / "resnet4b").mkdir()
    torch.save({"state_dict": {"weight": torch.zeros(1)}}, tmp_path / "resnet4b" / "resnet4b.pth")
    first = known_answers(samples=1, folder=tmp_path, data_dir=cifar10_dir)[0]
    refused(first.build, "are not those of ResNet-4B")
