"""The command line, called in this process, in an empty folder with a small model of the user's own."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from bench.cli.main import app

NETS = '''
    """Small models of the user's own, good and bad."""
    import torch
    from torch import nn


    def good():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


    def raises():
        raise RuntimeError("no such layer")


    def no_module():
        return 7


    def probabilities():
        return nn.Sequential(good(), nn.Softmax(dim=1))


    def three_classes():
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))


    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = good()

        def forward(self, inputs):
            return self.inner(inputs), inputs


    def pair():
        return Pair()


    class Talkative(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = good()

        def forward(self, inputs):
            print("so many images:", len(inputs))
            return self.inner(inputs)


    def talkative():
        return Talkative()


    class Restless(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = good()

        def forward(self, inputs):
            return self.inner(inputs + 0.1 * torch.rand_like(inputs))


    def restless():
        return Restless()
'''


class Result(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def message(self) -> str:
        """The one line that an error is; anything else fails."""
        lines = [line for line in self.err.splitlines() if line.startswith("bench: ")]
        assert len(lines) == 1, self.err
        assert self.err.splitlines()[-1] == lines[0], self.err
        return lines[0]


Bench = Callable[..., Result]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with `nets.py` in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(textwrap.dedent(NETS))
    return tmp_path


@pytest.fixture
def bench(here: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    """Call `bench` with words, in the empty folder."""

    def call(*words: str) -> Result:
        with pytest.raises(SystemExit) as stop:
            app(list(words), prog_name="bench")
        captured = capsys.readouterr()
        code = stop.value.code
        return Result(code if isinstance(code, int) else 0, captured.out, captured.err)

    return call


@pytest.fixture
def run(bench: Bench) -> Bench:
    """Call `bench run` on a few digits; later words override earlier ones."""

    def call(*words: str) -> Result:
        model = [] if {"--model", "--models"} & set(words) else ["--model", "nets.py:good"]
        usual = [*model, "--dataset", "digits", "--suite", "quick-v1", "--device", "cpu"]
        few = [] if "--indices" in words else ["--samples", "20"]
        return bench("run", *usual, *few, "--journal", "journal", *words)

    return call
