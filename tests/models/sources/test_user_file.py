"""A model of the user's: a factory in a file."""

from __future__ import annotations

import functools
import os
import textwrap
from pathlib import Path

import pytest
import torch

from bench.models.registry import load

GOOD = """
    import torch
    from torch import nn

    def make():
        return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 10))

    def half(classes=10):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))

    ready = make()
    count = 3

    def needs(classes, width):
        return None

    def raises():
        raise RuntimeError("no such layer\\nand more")

    def exits():
        raise SystemExit(2)

    def number():
        return 3

    def klass():
        return nn.Linear

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(64, 10)

        def forward(self, inputs):
            return self.linear(inputs.flatten(1))

    class Softmax(Net):
        def forward(self, inputs):
            return super().forward(inputs).softmax(1)

    class FourBit(Net):
        def to(self, *_):
            raise ValueError("not supported for 4-bit models")
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "net.py"
    path.write_text(textwrap.dedent(GOOD))
    return path


@pytest.fixture
def get(digits):
    return functools.partial(load, dataset=digits)


def test_a_path_may_hold_bytes_outside_utf8(get, file):
    """As any path may on Linux."""
    folder = file.parent / os.fsdecode(b"d\xff")
    folder.mkdir()
    assert get(f"{file.rename(folder / 'net.py')}:make").num_classes == 10


@pytest.mark.parametrize("factory", ["make", "half", "ready", "Net"])
def test_loads_what_the_factory_returns(get, file, factory):
    """A function, a class or a module is taken, put into eval mode and frozen."""
    loaded = get(f"{file}:{factory}")
    assert not loaded.module.training
    assert not any(parameter.requires_grad for parameter in loaded.module.parameters())
    assert loaded.manifest is None


def test_weights_are_loaded_into_it(get, file, tmp_path):
    """A weights file fills the network, however a training script wrapped it."""
    weight, bias = torch.rand(10, 64), torch.rand(10)
    torch.save({"state_dict": {"module.2.weight": weight, "module.2.bias": bias}}, tmp_path / "w.pth")
    loaded = get(f"{file}:make", weights=tmp_path / "w.pth")
    assert torch.equal(loaded.module[2].weight, weight)


def test_weights_that_do_not_fit_are_named(get, file, tmp_path, refused):
    """Weights of another network are refused with the parameter and both shapes."""
    torch.save({"2.weight": torch.rand(10, 32), "2.bias": torch.rand(10)}, tmp_path / "w.pth")
    refused(lambda: get(f"{file}:make", weights=tmp_path / "w.pth"), "'2.weight'", "(10, 32)", "(10, 64)")


def test_it_may_import_its_neighbours(get, file):
    """A file can import what lies beside it."""
    (file.parent / "bench_test_neighbour.py").write_text("SIZE = 64\n")
    file.write_text("from bench_test_neighbour import SIZE\nfrom torch import nn\n\n"
                    "def make():\n    return nn.Sequential(nn.Flatten(), nn.Linear(SIZE, 10))\n")  # fmt: skip
    assert get(f"{file}:make").module[1].in_features == 64


def test_identity_is_state_and_source(get, file, tmp_path):
    """The same file and state have the same digests; a change of either shows in its own."""
    torch.save({"linear.weight": torch.rand(10, 64), "linear.bias": torch.rand(10)}, tmp_path / "w.pth")
    first, second = (get(f"{file}:Net", weights=tmp_path / "w.pth") for _ in range(2))
    assert (first.digest, first.factory_digest) == (second.digest, second.factory_digest)
    file.write_text(file.read_text() + "\n# another\n")
    third = get(f"{file}:Net", weights=tmp_path / "w.pth")
    assert third.digest == first.digest
    assert third.factory_digest != first.factory_digest


@pytest.mark.parametrize(
    ("factory", "texts"),
    [
        ("mkae", ("'mkae'", "Did you mean 'make'?")),
        ("count", ("int",)),
        ("needs", ("classes, width",)),
        ("raises", ("RuntimeError", "no such layer", "line ")),
        ("exits", ("SystemExit",)),
        ("number", ("torch.nn.Module", "int")),
        ("klass", ("torch.nn.Module", "type")),
        ("Softmax", ("probabilities",)),
        ("FourBit", ("cannot be put on cpu", "ValueError: not supported for 4-bit models")),
    ],
)
def test_factories_that_do_not_work_are_named(get, file, refused, factory, texts):
    """What a factory does wrong is said in one line."""
    refused(lambda: get(f"{file}:{factory}"), *texts)


@pytest.mark.parametrize(
    ("source", "texts"),
    [
        ("def make(:\n", ("SyntaxError", "line 1")),
        ("import no_such_module_anywhere\n", ("no_such_module_anywhere", "line 1")),
        ("x = 1\nraise ValueError('broken')\n", ("broken", "line 2")),
        ("\x00", ("net.py",)),
    ],
)
def test_files_that_do_not_import_are_named(get, file, refused, source, texts):
    """A file that cannot be imported is refused with its line."""
    file.write_text(source)
    refused(lambda: get(f"{file}:make"), "net.py", *texts)


def test_names_without_file_or_factory(get, file, refused):
    """A missing file, or a file without a factory, is said with the form that is expected."""
    refused(lambda: get("none/net.py:make"), "net.py")
    refused(lambda: get(str(file)), "path/to/file.py:factory")
    refused(lambda: get(f"{file}:"), "path/to/file.py:factory")


def test_a_key_picks_the_weights_and_what_was_done_is_kept(get, file, tmp_path, refused):
    """Of raw and averaged weights the named ones; the model carries what a user should know."""
    raw, averaged = (
        {"linear.weight": torch.rand(10, 64).half(), "linear.bias": torch.rand(10).half()} for _ in range(2)
    )
    torch.save({"run": {"raw": raw, "ema": averaged}}, tmp_path / "w.pth")
    loaded = get(f"{file}:Net", weights=tmp_path / "w.pth", weights_key="run.ema")
    assert torch.equal(loaded.module.linear.weight, averaged["linear.weight"].float())
    assert loaded.remarks == ("Weights w.pth: taken from 'run.ema'; float16 in the file, float32 in the model.",)
    refused(lambda: get(f"{file}:Net", weights=tmp_path / "w.pth"), "'run.raw', 'run.ema'", "--weights-key run.raw")
    refused(lambda: get(f"{file}:Net", weights_key="run.ema"), "--weights beside --weights-key")
    refused(lambda: get("robustbench:Any", weights_key="run.ema"), "--weights")
