"""Stochastic models: seeded verdicts over many passes, in any batch, part, worker and rerun the same."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from bench.attacks import PGD, EoT, FrozenDraws
from bench.attacks.autoattack import ApgdDlr
from bench.core.errors import BenchError
from bench.core.types import Examples, ThreatModel
from bench.evaluation import Evaluation, evaluate
from bench.evaluation.verify import judge
from bench.suites import AttackSuite, get

SUITE = AttackSuite(
    name="rand-short",
    version=1,
    stochastic=True,
    attacks=(
        EoT(name="eot-pgd", attack=PGD(steps=6), passes=5),
        EoT(name="eot-apgd-dlr", attack=ApgdDlr(engine="fast", steps=6), passes=4),
        FrozenDraws(name="frozen", attack=PGD(steps=4)),
    ),
)
SIGMA = 0.08


class NoisyLinear(nn.Module):
    """A linear classifier of two classes behind Gaussian noise: how often it errs at a point is known."""

    stochastic = True

    def __init__(self, linear: nn.Module) -> None:
        super().__init__()
        self.linear = linear

    def forward(self, inputs: Tensor) -> Tensor:
        return self.linear(inputs + SIGMA * torch.randn_like(inputs))


class Dropped(nn.Module):
    """Dropout that stays on."""

    stochastic = True

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(16, 32), nn.Linear(32, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = functional.dropout(self.first(inputs.flatten(1)).relu(), 0.3, training=True)
        return self.second(hidden)


class Resized(nn.Module):
    """One random size for the whole batch, drawn by Python, and padding where NumPy says (Xie et al. 2018)."""

    stochastic = True

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2))

    def forward(self, inputs: Tensor) -> Tensor:
        size = random.randint(3, 6)
        small = functional.interpolate(inputs, size=size, mode="bilinear")
        left = int(np.random.randint(0, 7 - size))
        rest = 6 - size - left
        return self.body(functional.pad(small, (left, rest, rest, left)))


class OwnGenerator(nn.Module):
    """Draws that nobody can seed."""

    stochastic = True

    def __init__(self, linear: nn.Module) -> None:
        super().__init__()
        self.linear = linear
        self.generator = torch.Generator().manual_seed(0)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.linear(inputs + SIGMA * torch.randn(inputs.shape, generator=self.generator))


def labelled(model: nn.Module, examples: Examples) -> Examples:
    """As the model mostly classifies them."""
    with torch.no_grad():
        votes = torch.stack([model(examples.inputs).argmax(1) for _ in range(51)]).float().mean(0)
    return Examples(inputs=examples.inputs, labels=(votes > 0.5).long(), indices=examples.indices)


def outcome(found: Evaluation) -> tuple[object, ...]:
    """All that a row says of verdicts, margins and passes."""
    attacks = [(each.name, each.margin, each.robust) for each in found.attacks]
    return found.clean, found.clean_margin, attacks, found.reported, found.breaks.margins.tolist()


def chances(linear: Any, examples: Examples, epsilon: float) -> Tensor:
    """In closed form, how often the noisy linear model is right at the worst point of each example's Linf ball."""
    score = examples.inputs.flatten(1) @ linear.weight + linear.bias
    signed = torch.where(examples.labels == 1, score, -score) - epsilon * linear.weight.abs().sum()
    return 0.5 * (1 + torch.erf(signed / (SIGMA * linear.weight.norm()) / math.sqrt(2)))


def test_a_noisy_linear_classifier_has_the_robust_accuracy_of_the_closed_form(linear: Any, make: Any) -> None:
    """Where the worst point errs clearly more or less than half the time, every verdict is the true one."""
    examples = make["examples"](160)
    with torch.no_grad():
        examples = Examples(inputs=examples.inputs, labels=linear(examples.inputs).argmax(1), indices=examples.indices)
        truth = chances(linear, examples, 0.05)
    clear = examples[(truth - 0.5).abs() > 0.25]
    expected = truth[(truth - 0.5).abs() > 0.25]
    found = evaluate(NoisyLinear(linear), clear, threat_model="Linf:0.05", suite=SUITE)
    assert found.robust == tuple((expected > 0.5).tolist())
    assert 20 < found.n_robust < len(clear) - 20
    once, mean = found.reported
    assert mean.statistics["robust_from"] < expected.mean() < mean.statistics["robust_to"]
    assert mean.statistics["robust_accuracy"] == pytest.approx(float(expected.mean()), abs=0.03)
    assert once.n_robust == pytest.approx(float(expected.sum()), abs=4 * math.sqrt(len(clear) / 8))


def test_half_of_the_passes_decide(linear: Any, make: Any) -> None:
    """Broken from 16 wrong passes of 32 on; the margin is the 16th smallest, and the bits say which were right."""
    examples = make["examples"](24)
    examples = labelled(NoisyLinear(linear), examples)
    moved = (examples.inputs + 0.05 * torch.randn(examples.inputs.shape, generator=torch.manual_seed(3))).clamp(0, 1)
    module, threat_model = NoisyLinear(linear).eval(), ThreatModel.parse("Linf:1/4")
    before = torch.get_rng_state()
    found = judge(module, moved, examples, threat_model, seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    n_right = [bin(right).count("1") for right in found.right.tolist()]
    assert found.robust.tolist() == [count > 16 for count in n_right]
    assert len(set(n_right)) > 3 and not found.robust.all() and found.robust.any()
    assert ((found.margin < 0) == ~found.robust).all()
    assert ((found.predicted == examples.labels) == found.robust).all()
    alone = judge(module, moved[7:8], examples[7:8], threat_model, seed=5)
    assert all(torch.equal(value, getattr(found, name)[7:8]) for name, value in vars(alone).items())
    other = judge(module, moved, examples, threat_model, seed=6)
    assert other.right.tolist() != found.right.tolist()


@pytest.mark.parametrize("kind", ["noise", "dropout", "resizing"])
def test_a_rerun_gives_the_same_and_leaves_the_generators_alone(linear: Any, make: Any, kind: str) -> None:
    """To the bit, whatever was drawn before; also in smaller batches."""
    model = {"noise": lambda: NoisyLinear(linear), "dropout": Dropped, "resizing": Resized}[kind]().eval()
    examples = labelled(model, make["examples"](70 if kind == "noise" else 20))
    states = []
    found = []
    for batch_size in (64, 64, 8):
        torch.rand(3), np.random.rand(3), random.random()
        before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
        found.append(outcome(evaluate(model, examples, threat_model="Linf:0.05", suite=SUITE, batch_size=batch_size)))
        states.append(
            torch.equal(torch.get_rng_state(), before[0])
            and (np.random.get_state()[1].tolist(), random.getstate()) == before[1:]
        )
    assert found[0] == found[1] == found[2]
    assert all(states)


def test_a_longer_run_has_the_clean_verdicts_of_a_shorter_one(linear: Any, make: Any) -> None:
    """And on its whole chunks all others: draws are keyed, not counted."""
    model = NoisyLinear(linear).eval()
    examples = labelled(model, make["examples"](100))
    short, long = (evaluate(model, examples[:count], threat_model="Linf:0.05", suite=SUITE) for count in (64, 100))
    assert long.clean_margin[:64] == short.clean_margin
    assert [each.margin[:64] for each in long.attacks] == [each.margin for each in short.attacks]


def test_a_run_that_was_stopped_goes_on(tmp_path: Path, linear: Any, make: Any) -> None:
    """What was journaled is taken, and held against the model; the rest is computed, with the same outcome."""
    model = NoisyLinear(linear).eval()
    examples = labelled(model, make["examples"](130))
    usual = {"threat_model": "Linf:0.05", "suite": SUITE, "journal": tmp_path / "journal"}
    count = 0

    def stop(progress: Any) -> None:
        nonlocal count
        count += 1
        if count == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(model, examples, **usual, progress=stop)
    done = {path: path.stat().st_mtime_ns for path in (tmp_path / "journal").glob("*/*.json")}
    assert done
    resumed = evaluate(model, examples, **usual)
    assert outcome(resumed) == outcome(evaluate(model, examples, threat_model="Linf:0.05", suite=SUITE))
    assert all(path.stat().st_mtime_ns == time for path, time in done.items())
    with pytest.raises(BenchError, match=r"gives other logits|logits on fixed inputs"):
        evaluate(NoisyLinear(make["Linear"]().requires_grad_(False).apply(_shift)).eval(), examples, **usual)


def _shift(module: Any) -> None:
    """Buffers and parameters stay equal in name and shape; the function does not."""
    module.forward = lambda inputs, before=module.forward: before(inputs) * 1.5


def test_what_is_reported_counts_passes(linear: Any, make: Any) -> None:
    """The one-shot number is a verdict per example, the expected accuracy a mean with its interval; neither counts."""
    model = NoisyLinear(linear).eval()
    found = evaluate(model, labelled(model, make["examples"](64)), threat_model="Linf:0.05", suite=SUITE)
    once, mean = found.reported
    assert (once.name, mean.name) == ("one-shot", "expected-accuracy")
    assert found.n_robust < once.n_robust < found.n_clean
    numbers = mean.statistics
    assert 0 <= numbers["robust_from"] < numbers["robust_accuracy"] < numbers["robust_to"] <= 1
    assert numbers["robust_accuracy"] < numbers["clean_accuracy"] <= 1
    assert found.robust_accuracy < numbers["robust_accuracy"]


def test_a_model_and_a_suite_of_different_kinds_are_refused(linear: Any, examples: Examples) -> None:
    """Each by the suite to use, before anything runs."""
    with pytest.raises(BenchError, match=r"rand-v1 is for stochastic models.*standard-v1.*stochastic = True"):
        evaluate(linear, examples, threat_model="Linf:0.05", suite="rand-v1")
    for suite in ("quick-v1", "standard-v1", "adaptive-v2"):
        with pytest.raises(BenchError, match=rf"suite {suite} is for deterministic ones: choose --suite rand-v1"):
            evaluate(NoisyLinear(linear), examples, threat_model="Linf:0.05", suite=suite)


def test_a_declaration_that_is_not_true_is_refused(linear: Any, examples: Examples) -> None:
    """A model that never draws, one that draws where nothing can seed it, and one that draws and does not say so."""
    linear.stochastic = True
    with pytest.raises(BenchError, match=r"32 passes over the same inputs gave the same logits.*standard-v1"):
        evaluate(linear, examples, threat_model="Linf:0.05", suite=SUITE)
    with pytest.raises(BenchError, match="a generator or a state of its own"):
        evaluate(OwnGenerator(linear), examples, threat_model="Linf:0.05", suite=SUITE)
    quiet = NoisyLinear(linear)
    quiet.stochastic = False  # type: ignore[misc]
    with pytest.raises(BenchError, match=r"is stochastic.*--stochastic.*--suite rand-v1"):
        evaluate(quiet, examples, threat_model="Linf:0.05", suite="quick-v1")


def test_the_published_suite_says_how_it_judges() -> None:
    """The rule of the verdict is pinned with the attacks, which are all on the model itself in float32."""
    suite = get("rand-v1")
    assert suite.published["verdict"] == {"passes": 32, "broken_from": 16}
    assert [attack.name for attack in suite.attacks] == [
        "eot-pgd-20",
        "eot-apgd-ce",
        "eot-apgd-dlr",
        "eot-constraint-relaxation",
        "frozen-draws",
    ]
    assert all(attack.finish is None and not attack.logits_only for attack in suite.attacks)
    plain = AttackSuite(name="rand", version=1, attacks=suite.attacks)
    assert plain.digest != suite.digest


def test_a_pass_that_is_not_finite_does_not_spoil_the_journal(
    linear: nn.Module, examples: Examples, threat_model: ThreatModel, tmp_path: Path
) -> None:
    """An example may withstand in most passes and have no logits in one; resumed, the run believes itself."""

    class Failing(NoisyLinear):
        def forward(self, inputs: Tensor) -> Tensor:
            fails = torch.rand(len(inputs), 1) < 0.1
            return torch.where(fails, torch.nan, super().forward(inputs))

    options = {"threat_model": threat_model, "suite": SUITE, "journal": tmp_path / "journal"}
    first = evaluate(Failing(linear), examples[:64], **options)
    assert any(first.robust) and first.n_nonfinite
    again = evaluate(Failing(linear), examples[:64], **options)
    assert (again.robust, again.n_nonfinite) == (first.robust, first.n_nonfinite)
