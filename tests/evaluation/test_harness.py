"""The whole evaluation, on models whose answer is known."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import bench
from bench.core.errors import WorkFailedError
from bench.core.types import Examples, ThreatModel
from bench.evaluation import Evaluation, Progress, cost_of, evaluate, result_of
from bench.row.packing import unpack_margins
from bench.row.schema import to_json


class Net(nn.Module):
    """A small net with everything that eval mode must silence, and BatchNorm statistics that must not move."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.convolution = nn.Conv2d(1, 4, 3, padding=1)
        self.normalization = nn.BatchNorm2d(4)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(64, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.normalization(self.convolution(inputs)).tanh()
        return self.head(self.dropout(hidden.flatten(1)))


@pytest.fixture
def net(make: dict[str, Any]) -> Net:
    """Its logits are centred, so that every class occurs and many examples lie near a boundary."""
    net = Net().eval()
    with torch.no_grad():
        net.head.bias -= net(make["examples"](150).inputs).mean(0)
    return net


@pytest.fixture
def net_examples(net: Net, make: dict[str, Any]) -> Examples:
    plain = make["examples"](150)
    with torch.no_grad():
        return Examples(inputs=plain.inputs, labels=net(plain.inputs).argmax(1), indices=plain.indices)


def _verdicts(evaluation: Evaluation) -> dict[tuple[int, str], bool]:
    columns = {"clean": evaluation.clean, **{attack.name: attack.robust for attack in evaluation.attacks}}
    return {
        (index, name): verdict
        for name, column in columns.items()
        for index, verdict in zip(evaluation.indices, column, strict=True)
    }


def test_a_linear_classifier_has_its_exact_robust_accuracy(
    linear: nn.Module, examples: Examples, gradient_suite: Any
) -> None:
    """Linf moves the margin by epsilon times the L1 norm of the weights, inside the box; FGSM reaches that."""
    threat_model = ThreatModel.parse("Linf:0.05")
    sign = (2 * examples.labels - 1).double()
    weight = linear.weight.detach().double()  # type: ignore[union-attr]
    margin = sign * (examples.inputs.double().flatten(1) @ weight + linear.bias.double())  # type: ignore[operator]
    exact = (margin - 0.05 * weight.abs().sum() > 0).tolist()
    found = bench.evaluate(linear, examples, threat_model=threat_model, suite=gradient_suite)
    assert list(found.robust) == exact
    assert 0 < sum(exact) < sum((margin > 0).tolist()) == found.n_clean


def test_an_evaluation_is_printed_in_a_few_lines(linear: nn.Module, examples: Examples, gradient_suite: Any) -> None:
    """What was asked, what is left clean, under each attack and under all; a notebook has the same as a table."""
    found = bench.evaluate(linear, examples, threat_model="Linf:0.05", suite=gradient_suite)
    first, *lines = str(found).splitlines()
    assert first == f"{gradient_suite.label}, Linf:1/20, {len(examples)} examples"
    assert [line.split()[0] for line in lines] == ["clean", *(attack.name for attack in found.attacks), "robust"]
    assert f"{found.n_robust}, {100 * found.robust_accuracy:.2f} % (95 % interval" in lines[-1]
    assert found._repr_html_().count("<tr>") == len(lines) and first in found._repr_html_()


def test_the_best_margin_is_that_of_the_exact_worst_case(
    linear: nn.Module, examples: Examples, gradient_suite: Any, threat_model: ThreatModel
) -> None:
    """Margins are those of the returned point, and of the clean one where no attack ran; stored as float16."""
    found = evaluate(linear, examples, threat_model=threat_model, suite=gradient_suite)
    drop = 0.05 * float(linear.weight.detach().abs().sum())  # type: ignore[union-attr]
    fgsm = found.attacks[0]
    for correct, clean, worst in zip(found.clean, found.clean_margin, fgsm.margin, strict=True):
        assert worst == pytest.approx(clean - drop if correct else clean, abs=1e-4)
    stored = unpack_margins(result_of(found).attacks[0].best_margin, len(examples))
    assert stored == pytest.approx(fgsm.margin, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("batch_size", [1, 7, 64, 512])
def test_verdicts_do_not_depend_on_the_batch(
    net: Net, net_examples: Examples, gradient_suite: Any, threat_model: ThreatModel, batch_size: int
) -> None:
    """At most one verdict in a thousand may flip by rounding."""
    reference = _verdicts(evaluate(net, net_examples, threat_model=threat_model, suite=gradient_suite))
    found = evaluate(net, net_examples, threat_model=threat_model, suite=gradient_suite, batch_size=batch_size)
    flips = sum(reference[key] != verdict for key, verdict in _verdicts(found).items())
    assert flips <= len(reference) / 1000
    assert 0 < found.n_robust < found.n_clean


def test_verdicts_do_not_depend_on_order_or_subset(
    net: Net, net_examples: Examples, gradient_suite: Any, threat_model: ThreatModel
) -> None:
    """A shuffled half has the verdicts that its examples have among all, in its own order."""
    reference = _verdicts(evaluate(net, net_examples, threat_model=threat_model, suite=gradient_suite))
    half = torch.randperm(150, generator=torch.Generator().manual_seed(0))[:75]
    found = evaluate(net, net_examples[half], threat_model=threat_model, suite=gradient_suite)
    assert found.indices == tuple(half.tolist())
    assert all(reference[key] == verdict for key, verdict in _verdicts(found).items())


def test_a_break_too_far_away_is_refused_and_judged_again_inside(
    linear: nn.Module, examples: Examples, threat_model: ThreatModel, make: dict[str, Any]
) -> None:
    """Epsilon + 1e-4 counts as epsilon: the same verdicts as at epsilon, and fewer breaks than outside would give."""
    direction = -(2 * examples.labels - 1)[:, None] * linear.weight.detach().sign()  # type: ignore[union-attr]

    def push(distance: float) -> Any:
        def act(_: Any, part: Examples, __: Any) -> Tensor:
            return part.inputs + distance * direction[part.indices].view_as(part.inputs)

        return make["suite"](make["Scripted"](act=act))

    far = evaluate(linear, examples, threat_model=threat_model, suite=push(0.05 + 1e-4))
    near = evaluate(linear, examples, threat_model=threat_model, suite=push(0.05))
    outside = evaluate(linear, examples, threat_model=ThreatModel.parse("Linf:0.1"), suite=push(0.1))
    assert far.robust == near.robust
    assert far.attacks[0].stages[0].n_moved == far.n_clean
    assert near.attacks[0].stages[0].n_moved == 0
    assert outside.n_robust < near.n_robust


def test_stages_see_the_survivors_and_attacks_see_all_correct_examples(
    linear: nn.Module, examples: Examples, threat_model: ThreatModel, make: dict[str, Any]
) -> None:
    """Within an attack a stage gets what those before it left; the next attack starts afresh."""
    seen: dict[str, list[int]] = {}

    def flip(name: str, modulus: int) -> Any:
        def act(_: Any, part: Examples, __: Any) -> Tensor:
            seen.setdefault(name, []).extend(part.indices.tolist())
            nan = torch.full_like(part.inputs, 0.5)
            return torch.where((part.indices % modulus == 0).view(-1, 1, 1, 1), nan, part.inputs)

        return make["Scripted"](name=name, act=act)

    class Half(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            grey = (inputs == 0.5).flatten(1).all(1)
            return torch.where(grey[:, None], linear(inputs).flip(1), linear(inputs)) + grey[:, None] * 0

    wide = ThreatModel.parse("Linf:0.9")
    staged = make["Staged"](stages=(flip("one", 2), flip("two", 3)))
    found = evaluate(Half(), examples, threat_model=wide, suite=make["suite"](staged, flip("three", 5)))
    correct = [index for index, right in enumerate(found.clean) if right]
    assert seen["one"] == seen["three"] == correct
    survivors = {index for index, robust in enumerate(found.attacks[0].stages[0].robust) if robust}
    assert seen["two"] == sorted(survivors) and survivors < set(correct)
    assert found.robust == tuple(
        all(verdicts) for verdicts in zip(found.attacks[0].robust, found.attacks[1].robust, strict=True)
    )
    stages = to_json(result_of(found))["attacks"][0]["stages"]
    assert [stage["name"] for stage in stages] == ["one", "two"]
    assert "stages" not in to_json(result_of(found))["attacks"][1]


def test_a_model_that_gives_nan_is_not_robust_there(
    linear: nn.Module, examples: Examples, gradient_suite: Any, threat_model: ThreatModel
) -> None:
    """Examples with logits that are not finite are counted apart, and as broken."""

    class Fragile(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            bright = inputs.flatten(1).mean(1, keepdim=True) > 0.5
            return torch.where(bright, torch.nan, linear(inputs))

    found = evaluate(Fragile(), examples, threat_model=threat_model, suite=gradient_suite)
    bright = (examples.inputs.flatten(1).mean(1) > 0.5).tolist()
    assert found.n_nonfinite >= sum(bright) > 0
    assert not any(robust and not finite for robust, finite in zip(found.robust, found.finite, strict=True))
    assert not any(correct and dark for correct, dark in zip(found.clean, bright, strict=True))
    assert json.dumps(to_json(result_of(found)), allow_nan=False)


def test_the_model_is_handed_back_as_it_was(
    net: Net, net_examples: Examples, gradient_suite: Any, threat_model: ThreatModel
) -> None:
    """Modes, gradients, storage, buffers, memory format, random state and float flags are what they were."""
    net.train()
    net.dropout.eval()
    net.head.bias.requires_grad_(False)
    net.to(memory_format=torch.channels_last)
    net.convolution.weight.grad = torch.ones_like(net.convolution.weight)
    gradient = net.convolution.weight.grad
    storage = [tensor.data_ptr() for tensor in (*net.parameters(), *net.buffers())]
    strides = [tensor.stride() for tensor in net.parameters()]
    values = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    torch.backends.cudnn.benchmark = True
    try:
        evaluate(net, net_examples, threat_model=threat_model, suite=gradient_suite)
        assert torch.backends.cudnn.benchmark
    finally:
        torch.backends.cudnn.benchmark = False
    assert torch.rand(3).equal(expected)
    assert [part.training for part in (net, net.convolution, net.normalization, net.dropout)] == [True] * 3 + [False]
    assert [each.requires_grad for each in (net.head.weight, net.head.bias)] == [True, False]
    assert net.convolution.weight.grad is gradient and gradient.eq(1).all() and net.head.weight.grad is None
    assert [tensor.data_ptr() for tensor in (*net.parameters(), *net.buffers())] == storage
    assert [tensor.stride() for tensor in net.parameters()] == strides
    assert all(tensor.equal(values[name]) for name, tensor in net.state_dict().items())


def test_a_model_is_handed_back_after_a_failure_too(
    net: Net, net_examples: Examples, threat_model: ThreatModel, make: dict[str, Any]
) -> None:
    """An attack that fails twice names itself and the chunk; the model is as it was."""
    calls = []

    def fail(*_: Any) -> Tensor:
        calls.append(1)
        raise RuntimeError("no luck")

    net.train()
    with pytest.raises(WorkFailedError, match="scripted on chunk 0: RuntimeError: no luck") as caught:
        evaluate(net, net_examples, threat_model=threat_model, suite=make["suite"](make["Scripted"](act=fail)))
    assert caught.value.exit_code == 3 and len(calls) == 2
    assert net.training and net.head.weight.requires_grad


def test_an_attack_that_fails_once_is_forgiven(
    linear: nn.Module, examples: Examples, threat_model: ThreatModel, make: dict[str, Any]
) -> None:
    """One retry per batch; the passes of the failed attempt do not count."""
    calls: list[int] = []

    def stumble(classifier: Any, part: Examples, _: Any) -> Tensor:
        classifier(part.inputs)
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("first time")
        return part.inputs

    found = evaluate(linear, examples, threat_model=threat_model, suite=make["suite"](make["Scripted"](act=stumble)))
    assert found.n_robust == found.n_clean == cost_of(found).attacks[0].forwards


def test_memory_that_runs_out_halves_the_batch(
    linear: nn.Module, examples: Examples, threat_model: ThreatModel, make: dict[str, Any]
) -> None:
    """The batch shrinks until it fits, which is recorded, and no example is lost."""
    sizes: list[int] = []

    def greedy(_: Any, part: Examples, __: Any) -> Tensor:
        sizes.append(len(part))
        if len(part) > 20:
            raise torch.OutOfMemoryError("fake")
        return part.inputs

    suite = make["suite"](make["Scripted"](act=greedy))
    found = evaluate(linear, examples, threat_model=threat_model, suite=suite, batch_size=128)
    assert found.n_robust == found.n_clean
    assert max(sizes) > 20 and sizes[-1] <= 20
    assert cost_of(found).batch_size <= 20
    with pytest.raises(WorkFailedError, match="Out of memory: scripted on chunk 0"):
        full = make["Scripted"](act=lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("fake")))
        evaluate(linear, examples, threat_model=threat_model, suite=make["suite"](full))


def test_chunks_share_a_batch_unless_the_attack_says_no(
    linear: nn.Module, examples: Examples, threat_model: ThreatModel, make: dict[str, Any]
) -> None:
    """Keyed attacks may run on several chunks at once; one with draws per batch gets chunks of 64."""
    groups: dict[str, list[set[int]]] = {"alone": [], "joined": []}

    def note(name: str, per_chunk: bool) -> Any:
        def act(_: Any, part: Examples, __: Any) -> Tensor:
            groups[name].append({index // 64 for index in part.indices.tolist()})
            return part.inputs

        return make["Scripted"](name=name, act=act, per_chunk=per_chunk)

    suite = make["suite"](note("alone", True), note("joined", False))
    evaluate(linear, examples[70:], threat_model=threat_model, suite=suite, batch_size=64)
    assert groups == {"alone": [{1}, {2}, {3}], "joined": [{1}, {2, 3}]}


def test_progress_is_told_in_small_frozen_events(
    linear: nn.Module, examples: Examples, gradient_suite: Any, threat_model: ThreatModel
) -> None:
    """One event a group of chunks and stage; what is robust so far only falls, and ends at the result."""
    events: list[Progress] = []
    found = evaluate(linear, examples, threat_model=threat_model, suite=gradient_suite, progress=events.append)
    assert [(event.attack, event.chunk, event.n_chunks) for event in events[:5]] == [
        *(("clean", chunk, 4) for chunk in (1, 2, 3, 4)),
        ("fgsm", 1, 4),
    ]
    # 48, 48, 48 and 6 examples are attacked: the last two chunks share a batch of 64.
    assert [event.chunk for event in events[4:]] == [1, 2, 4] * 2
    robust = [event.n_robust for event in events]
    assert robust == sorted(robust, reverse=True) and robust[-1] == found.n_robust
    assert events[-1].eta == pytest.approx(0) and all((event.eta or 0) >= 0 for event in events)


def test_it_works_inside_inference_mode(
    linear: nn.Module, examples: Examples, gradient_suite: Any, threat_model: ThreatModel
) -> None:
    """The caller's gradient mode does not reach the attacks."""
    expected = evaluate(linear, examples, threat_model=threat_model, suite=gradient_suite)
    with torch.inference_mode():
        copy = Examples(inputs=examples.inputs + 0, labels=examples.labels + 0, indices=examples.indices + 0)
        found = evaluate(linear, copy, threat_model=threat_model, suite=gradient_suite)
    assert result_of(found) == result_of(expected)


@pytest.mark.gpu
def test_a_gpu_gives_the_same_verdicts(
    net: Net, net_examples: Examples, gradient_suite: Any, threat_model: ThreatModel
) -> None:
    """At most one verdict in a hundred flips on this small set, and the model comes back to the CPU."""
    reference = _verdicts(evaluate(net, net_examples, threat_model=threat_model, suite=gradient_suite))
    found = evaluate(net, net_examples, threat_model=threat_model, suite=gradient_suite, device="cuda")
    assert sum(reference[key] != verdict for key, verdict in _verdicts(found).items()) <= len(reference) / 100
    assert next(net.parameters()).device.type == "cpu"


def test_an_attack_that_writes_into_its_inputs_moves_no_ball(
    linear: nn.Module, examples: Examples, threat_model: ThreatModel, make: Any
) -> None:
    """Its points are held to the clean inputs that it was given, as those of one that copies them are."""

    def noise(points: Tensor) -> Tensor:
        drawn = torch.rand(points.shape, generator=torch.Generator().manual_seed(0))
        return points.add_(drawn - 0.5).clamp_(0, 1)

    acts = (lambda classifier, it, _: noise(it.inputs), lambda classifier, it, _: noise(it.inputs.clone()))
    found = [
        evaluate(linear, examples, threat_model=threat_model, suite=make["suite"](make["Scripted"](act=act)))
        for act in acts
    ]
    assert found[0].robust == found[1].robust
    moved = [each.attacks[0].stages[0].n_moved for each in found]
    assert moved[0] == moved[1] > 0
