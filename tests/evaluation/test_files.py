"""Evaluating examples that lie in files."""

from __future__ import annotations

import io
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from bench.core.errors import BenchError
from bench.core.types import Examples, ThreatModel
from bench.data.files import FileExamples, open_files
from bench.data.preprocessing import Preprocessing
from bench.evaluation import evaluate, result_of
from bench.evaluation.execution.computing import Computer
from bench.evaluation.forms import Forms
from bench.evaluation.journal.header import inputs_digest

BATCH = 64
_READ = FileExamples.inputs


class Alive:
    """Counts the examples whose decoded inputs are in memory."""

    def __init__(self) -> None:
        self.now = self.most = self.read = 0

    def note(self, inputs: Tensor) -> Tensor:
        count = len(inputs)
        self.now, self.read = self.now + count, self.read + count
        self.most = max(self.most, self.now)
        weakref.finalize(inputs.untyped_storage(), self._forget, count)
        return inputs

    def _forget(self, count: int) -> None:
        self.now -= count


@pytest.fixture
def alive(monkeypatch: pytest.MonkeyPatch) -> Alive:
    counter = Alive()
    read = _READ.fget
    assert read is not None
    monkeypatch.setattr(FileExamples, "inputs", property(lambda self: counter.note(read(self))))
    return counter


@pytest.fixture
def net() -> nn.Module:
    """Ten classes, 3 x 8 x 8."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 10)).eval()


def _examples(folder: Path, net: nn.Module, count: int) -> FileExamples:
    """Images of noise in ImageNet's layout, most labelled as the model classifies them."""
    random = np.random.default_rng(0)
    paths = []
    for number in range(count):
        file = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (9, 8, 3), dtype=np.uint8)).save(file, "JPEG")
        path = folder / f"n{number % 10:08d}" / f"ILSVRC2012_val_{number + 1:08d}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.getvalue())
        paths.append(path)
    opened = open_files(paths, np.zeros(count, np.int64), Preprocessing(resize=8, crop=8))
    labels = torch.cat([net(part.inputs).argmax(1) for part in opened.split(500)])
    labels[::5] = (labels[::5] + 1) % 10
    return open_files(paths, labels.numpy(), Preprocessing(resize=8, crop=8))


def test_the_result_is_that_of_the_same_examples_in_memory(tmp_path: Path, net: nn.Module, gradient_suite: Any) -> None:
    """Byte for byte; in another order, the same counts."""
    examples = _examples(tmp_path / "val", net, 150)
    usual = {"suite": gradient_suite, "threat_model": "Linf:2/255", "batch_size": BATCH}
    here = evaluate(net, examples.to("cpu"), **usual)
    shuffled = torch.randperm(150, generator=torch.Generator().manual_seed(0))
    for given in (examples, examples[shuffled]):
        found = evaluate(net, given, **usual)
        assert found.n_clean == here.n_clean and found.n_robust == here.n_robust
    assert 0 < here.n_robust < here.n_clean < 150
    assert result_of(evaluate(net, examples, **usual, journal=tmp_path / "journal")) == result_of(here)


def test_a_resumed_run_decodes_only_what_is_left(
    tmp_path: Path, net: nn.Module, gradient_suite: Any, threat_model: ThreatModel, alive: Alive
) -> None:
    """The digest of a chunk's inputs is that of its files; with other files the journal is refused."""
    examples = _examples(tmp_path / "val", net, 300)
    usual = {"suite": gradient_suite, "threat_model": threat_model, "journal": tmp_path / "journal"}
    evaluate(net, examples, **usual)
    alive.read = 0
    evaluate(net, examples, **usual)
    assert alive.read <= 2 * BATCH
    other = examples[torch.arange(300).flip(0)]
    swapped = FileExamples(files=other._files, labels=other.labels, indices=examples.indices, prepare=examples._prepare)
    with pytest.raises(BenchError, match="was made with other examples 0:64"):
        evaluate(net, swapped, **usual)
    assert inputs_digest(examples[:64]) != inputs_digest(swapped[:64])


@pytest.mark.parametrize("count", [400, 2000])
def test_memory_does_not_grow_with_the_number_of_examples(
    tmp_path: Path, net: nn.Module, make: Any, threat_model: ThreatModel, alive: Alive, count: int
) -> None:
    """However many there are, the inputs of no more than a few batches are in memory at once."""
    examples = _examples(tmp_path / "val", net, count)
    alive.now = alive.most = alive.read = 0

    def weaken(_: nn.Module, batch: Examples, __: ThreatModel) -> Tensor:
        return (batch.inputs + 0.05).clamp(0, 1)

    suite = make["suite"](make["Scripted"](act=weaken))
    found = evaluate(net, examples, suite=suite, threat_model=threat_model, batch_size=BATCH)
    assert found.n_clean == count - count // 5
    assert alive.read >= 1.8 * count  # once when clean, once for the attack on those that are correct
    assert BATCH <= alive.most <= 3 * BATCH


def test_a_question_is_asked_batch_by_batch(
    tmp_path: Path, net: nn.Module, threat_model: ThreatModel, alive: Alive
) -> None:
    """What a cascade asks about its survivors does not bring them all into memory."""
    examples = _examples(tmp_path / "val", net, 400)
    computer = Computer(
        module=net,
        forms=Forms.of(net, examples[:BATCH].inputs, engine="fast", precision="float32"),
        threat_model=threat_model,
        seed=0,
        device=torch.device("cpu"),
        batch_size=BATCH,
    )
    alive.now = alive.most = 0
    about = [number % 4 > 0 for number in range(400)]
    asked = examples[torch.tensor(about)]
    answers = computer.ask(lambda _, batch: batch.indices % 2 == 0, asked, "whether even")
    assert answers == tuple(number % 2 == 0 for number in range(400) if number % 4 > 0)
    assert alive.most <= BATCH
