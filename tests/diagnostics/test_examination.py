"""How checks are run: order, time, failures of the model, and the model handed back."""

from __future__ import annotations

import time

import pytest
import torch
from torch import nn

from bench import models
from bench.core.errors import BenchError, UnknownNameError
from bench.diagnostics import CHECKS, SHORT_EXAMPLES, diagnose, diagnose_briefly, overall, select, short_passes
from bench.evaluation.counting import CountingClassifier


class Slow(nn.Module):
    """Takes its time."""

    def __init__(self, base, seconds):
        super().__init__()
        self.base, self.seconds = base, seconds

    def forward(self, inputs):
        time.sleep(self.seconds)
        return self.base(inputs)


class Raising(nn.Module):
    """Answers whole images and raises on what looks like noise."""

    def __init__(self, base, always=False):
        super().__init__()
        self.base, self.always = base, always

    def forward(self, inputs):
        if self.always or bool((16 * inputs % 1 > 1e-3).any()):
            raise RuntimeError("out of range\nsecond line")
        return self.base(inputs)


def test_the_checks_are_registered():
    """R1 to R21, each with a question, a next step and a file of its own."""
    assert sorted(CHECKS.names(), key=lambda name: int(name[1:])) == [f"R{number}" for number in range(1, 22)]
    for check in CHECKS:
        assert check.question.endswith("?") and check.next.endswith(".") and check.effort > 0


def test_checks_are_picked_by_name():
    """In any case and order; an unknown one is refused."""
    assert [check.id for check in select(["r8", " R3"])] == ["R3", "R8"]
    with pytest.raises(UnknownNameError, match="R22"):
        select(["R22"])


def test_what_was_found_comes_in_order(base, examined):
    """By number, though what matters most comes first and R1 and R2 look last."""
    assert list(examined(base, "R5", "R2", "R18", "R1")) == ["R1", "R2", "R5", "R18"]


def test_a_check_without_time_says_so(base, digits):
    """The slow model passes what it had time for; the rest was not run, which is no pass, and none of it is endless."""
    start = time.monotonic()
    found = diagnose(
        Slow(base, 0.05).eval(),
        digits.examples[:8],
        threat_model="Linf:1/10",
        num_classes=10,
        checks=["R5", "R9", "R10"],
        seconds=1.0,
    )
    assert time.monotonic() - start < 5
    by_id = {each.id: each for each in found}
    assert by_id["R9"].status == "not run" and not by_id["R9"].ran
    assert by_id["R9"].evidence == "not run: the time ran out before it had an answer."
    assert by_id["R9"].next == "Run this check again with more time or fewer examples."
    assert by_id["R5"].status == "pass", "a cheap check is not cut short by its small share"


def test_a_model_that_raises_is_a_finding(base, examined):
    """In one line; but one that cannot be called at all is refused."""
    found = examined(Raising(base), "R4", "R5")["R4"]
    assert found.status == "fail"
    assert "RuntimeError" in found.evidence and "second line" not in found.evidence
    with pytest.raises(BenchError, match="cannot be called"):
        examined(Raising(base, always=True), "R5")


def test_outputs_that_are_no_logits_leave_the_rest_not_applicable(base, examined):
    """R5 says what they are."""

    class Pair(nn.Module):
        def forward(self, inputs):
            return base(inputs), inputs

    found = examined(Pair(), "R5", "R7", "R8")
    assert [found[name].status for name in ("R5", "R7", "R8")] == ["fail", "not applicable", "not applicable"]


def test_nothing_correct_leaves_attacks_nothing(base, examined, digits):
    """A model that is always wrong has no robustness to doubt."""

    class Wrong(nn.Module):
        def forward(self, inputs):
            return -base(inputs)

    assert examined(Wrong(), "R8")["R8"].status == "not applicable"


def test_the_model_is_handed_back_as_it_was(digits):
    """Mode, gradients, and the state of the random generators."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10), nn.Dropout(0.1)).train()
    state, before = torch.get_rng_state(), [each.clone() for each in model.parameters()]
    diagnose(model, digits.examples[:8], threat_model="Linf:1/10", num_classes=10, checks=["R1", "R2", "R7"])
    assert model.training and all(each.requires_grad for each in model.parameters())
    assert all(torch.equal(*pair) for pair in zip(before, model.parameters(), strict=True))
    assert torch.equal(state, torch.get_rng_state())


def test_the_short_form_gives_the_same_twice(base, digits):
    """Byte for byte, so that a row can hold it."""
    first, second = (
        diagnose_briefly(base, digits.examples, threat_model="Linf:1/10", num_classes=10, seed=3) for _ in range(2)
    )
    assert first == second
    assert [each.id for each in first] == [check.id for check in select() if check.short is not None]


def test_the_short_form_runs_where_hardly_anything_is_correct(base, digits):
    """None of those it looks closer at, and none that a run left robust."""

    class Late(nn.Module):
        def forward(self, inputs):
            known = (inputs[:, None] == digits.examples.inputs[20:24]).flatten(2).all(2).any(1, keepdim=True)
            return torch.where(known, 1, -1) * base(inputs)

    found = diagnose_briefly(
        Late().eval(), digits.examples, threat_model="Linf:1/10", num_classes=10, robust=[False] * SHORT_EXAMPLES
    )
    assert [each.evidence for each in found if not each.ran] == []


def test_the_worst_status_counts(base, examined):
    """Fail before warn before pass."""
    passed = examined(base, "R5", "R7")
    failed = examined(nn.Sequential(base, nn.Softmax(1)), "R5")
    assert overall(passed.values()).value == "pass"
    assert overall([*passed.values(), *failed.values()]).value == "fail"


def test_progress_is_told_after_every_check(base, digits):
    """With what comes next, and nothing after the last."""
    heard = []
    diagnose(
        base,
        digits.examples[:8],
        threat_model="Linf:1/10",
        num_classes=10,
        checks=["R5", "R1", "R7"],
        progress=heard.append,
    )
    assert [event.check.id for event in heard] == ["R5", "R7", "R1"]
    assert [event.following.id if event.following else None for event in heard] == ["R7", "R1", None]
    assert heard[-1].n_done == heard[-1].n_checks == 3


def test_the_passes_of_the_short_form_are_those_that_it_takes(digits, base):
    """On a robust model, on which it takes most: each check's, and all together no more than PGD-20 on 64 examples."""
    counting = CountingClassifier(base)
    others = [CountingClassifier(models.load(name, dataset=digits).module) for name in ("trades", "standard")]
    counts = []

    def passes():
        return sum(sum(model.passes) for model in (counting, *others))

    def count(event):
        counts.append((event.check, passes() / SHORT_EXAMPLES - sum(number for _, number in counts)))

    settings = {"threat_model": "Linf:1/20", "num_classes": 10, "surrogates": others, "batch_size": 512}
    diagnose_briefly(counting, digits.examples, progress=count, **settings)
    for check, number in counts:
        assert number <= check.short + 0.2, check.id
    assert passes() == pytest.approx(short_passes(len(digits)), rel=0.1)
    assert short_passes(len(digits)) <= 20 * 2 * 64
    assert short_passes(8) == short_passes(len(digits)) / 4


@pytest.mark.parametrize("seconds", [None, 0.5])
def test_what_matters_most_is_looked_at_first(seconds, base, digits):
    """With time and without: what the attacks see before what costs most, and R2 and R1 last."""
    order = []
    diagnose(
        base,
        digits.examples[:8],
        threat_model="Linf:1/10",
        num_classes=10,
        checks=["R1", "R2", "R3", "R4", "R5", "R7", "R8", "R18"],
        seconds=seconds,
        progress=lambda event: order.append(event.check.id),
    )
    assert order == ["R5", "R3", "R8", "R7", "R4", "R18", "R1", "R2"]


def test_a_check_that_fails_itself_has_not_run(base, examined, monkeypatch):
    """It is no pass and no fault of the model; the others are not disturbed."""
    monkeypatch.setattr("bench.diagnostics.checks.r07_gradient.slope", lambda *_: 1 / 0)
    found = examined(base, "R5", "R7", "R8")
    assert [found[name].status for name in ("R5", "R7", "R8")] == ["pass", "not run", "pass"]
    assert found["R7"].evidence == "not run: ZeroDivisionError: division by zero"
    assert not found["R7"].ran and not found["R7"].failed
    assert overall(found.values()).value == "not run"


def test_memory_that_does_not_suffice_is_no_fault_of_the_model(base, examined):
    """Another device may have it."""

    class Large(nn.Module):
        def forward(self, inputs):
            if bool((16 * inputs % 1 > 1e-3).any()):
                raise torch.OutOfMemoryError("CUDA out of memory")
            return base(inputs)

    found = examined(Large(), "R4")["R4"]
    assert (found.status, found.evidence) == ("not run", "not run: OutOfMemoryError: CUDA out of memory")
