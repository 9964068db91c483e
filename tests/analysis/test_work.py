from __future__ import annotations

import dataclasses

import pytest
from torch import nn

from bench.analysis import AnalysisTask
from bench.analysis.work import carry_out
from bench.core.errors import BenchError, WorkFailedError
from bench.models import LoadedModel
from bench.row.fingerprint import Fingerprint
from bench.row.packing import pack_logits


def model(name):
    return LoadedModel(name=name, module=nn.Identity(), digest=name, factory_digest="", num_classes=3)


class Counted:
    """Tasks that count how often they run, and may fail."""

    def __init__(self, failing=()):
        self.failing = set(failing)
        self.runs = []

    def tasks(self, *names):
        return tuple(AnalysisTask(name=name, about=(model(name),), effort=1.0, work=self._work(name)) for name in names)

    def _work(self, name):
        def work():
            self.runs.append(name)
            if name in self.failing:
                raise RuntimeError("CUDA out of memory\nand more")
            return {"name": name, "third": (1, 1 / 3)}

        return work


def test_what_is_done_is_not_done_again(tmp_path):
    """A second call reads everything, and returns the same."""
    counted = Counted()
    first = carry_out(counted.tasks("a", "b"), journal=tmp_path, identity={"seed": 0})
    again = carry_out(counted.tasks("a", "b"), journal=tmp_path, identity={"seed": 0})
    assert counted.runs == ["a", "b"]
    assert (first.n_reused, again.n_reused) == (0, 2)
    assert first.parts == again.parts
    assert first.parts["a"] == {"name": "a", "third": [1, 1 / 3]}
    assert again.seconds == first.seconds


def test_a_stopped_run_goes_on_where_it_stopped(tmp_path):
    """What fails is named, in one line, and what came before it is kept."""
    counted = Counted(failing=["b"])
    with pytest.raises(WorkFailedError, match=r"^b failed: CUDA out of memory\. What was finished is kept\.$"):
        carry_out(counted.tasks("a", "b"), journal=tmp_path, identity={})
    counted.failing.clear()
    carry_out(counted.tasks("a", "b", "c"), journal=tmp_path, identity={})
    assert counted.runs == ["a", "b", "b", "c"]


def test_other_work_is_not_taken_for_this(tmp_path):
    """Another identity, or another model under the same name, is done anew."""
    counted = Counted()
    carry_out(counted.tasks("a"), journal=tmp_path, identity={"seed": 0})
    carry_out(counted.tasks("a"), journal=tmp_path, identity={"seed": 1})
    (task,) = counted.tasks("a")
    carry_out(
        (AnalysisTask(name="a", about=(model("other"),), effort=1.0, work=task.work),),
        journal=tmp_path,
        identity={"seed": 0},
    )
    assert counted.runs == ["a", "a", "a"]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"values": 3, "seconds": 1.0}', b'{"values": {}}', b"\xff"])
def test_a_damaged_file_is_as_good_as_none(tmp_path, damage):
    """It is computed again and repaired."""
    counted = Counted()
    carry_out(counted.tasks("a"), journal=tmp_path, identity={})
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(damage)
    carry_out(counted.tasks("a"), journal=tmp_path, identity={})
    carry_out(counted.tasks("a"), journal=tmp_path, identity={})
    assert counted.runs == ["a", "a"]


def test_progress_tells_what_runs_and_how_long_it_will_take(tmp_path):
    """Nothing is promised before a part was measured; at the end nothing is left."""
    events = []
    counted = Counted()
    carry_out(counted.tasks("a", "b", "c"), journal=None, identity={}, on_progress=events.append)
    assert [(event.task, event.n_done, event.n_tasks) for event in events] == [
        ("a", 0, 3),
        ("b", 1, 3),
        ("c", 2, 3),
        ("", 3, 3),
    ]
    assert events[0].eta is None
    assert events[1].eta > events[2].eta > 0
    assert events[3].eta == 0


def test_a_users_mistake_stays_one():
    """It is not made a failure of the machine."""

    def work():
        raise BenchError("Expected another model.")

    with pytest.raises(BenchError, match=r"^Expected another model\.$") as raised:
        carry_out((AnalysisTask(name="a", about=(), effort=1.0, work=work),), journal=None, identity={})
    assert raised.value.exit_code == 2


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_said_to_be(tmp_path, number):
    """In one line that says what to run; nothing is kept."""
    task = AnalysisTask(name="a", about=(), effort=1.0, work=lambda: {"loss": number})
    with pytest.raises(BenchError, match=r"^a: numbers came out that are not finite.*bench doctor"):
        carry_out((task,), journal=tmp_path, identity={})
    assert list(tmp_path.iterdir()) == []


def test_names_of_tasks_are_their_own():
    """Two of one name would share a result."""
    with pytest.raises(ValueError, match="different names"):
        carry_out(Counted().tasks("a", "a"), journal=None, identity={})


def test_work_about_another_function_is_done_again(tmp_path):
    """The same weights and sources that answer fixed inputs otherwise; rounding is no other function."""
    counted = Counted()

    def about(logit):
        tasks = counted.tasks("a")
        fingerprint = Fingerprint(logits={"a": pack_logits([1.0, logit])})
        model = dataclasses.replace(tasks[0].about[0], fingerprint=fingerprint)
        return (dataclasses.replace(tasks[0], about=(model,)),)

    reused = [
        carry_out(about(logit), journal=tmp_path, identity={}).n_reused for logit in (2.0, 2.00001, 3.0, 3.0, 2.0)
    ]
    assert reused == [0, 1, 0, 1, 0]
