"""A model whose faults a test orders by files beside a copy of this file; only workers obey, never the driver.

`kill`: the first worker that sees it dies. `killer`: every worker dies on the example whose mark is in the file.
`raise`: an attack on that example raises. `wait`: the first worker that sees it waits for a file `go`.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from bench import data

HERE = Path(__file__).parent


class Faulty(nn.Module):
    """Nearest class mean on digits, behind a convolution and a batch norm that do nothing."""

    def __init__(self) -> None:
        super().__init__()
        examples = data.load("digits").examples
        flat = examples.inputs.flatten(1)
        means = torch.stack([flat[examples.labels == label].mean(0) for label in range(10)])
        self.first = nn.Conv2d(1, 1, 1)
        self.norm = nn.BatchNorm2d(1)
        self.last = nn.Linear(64, 10)
        with torch.no_grad():
            self.first.weight.fill_(1.0)
            self.first.bias.zero_()
            self.last.weight.copy_(4 * means)
            self.last.bias.copy_(-2 * means.square().sum(1))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits, unless ordered otherwise."""
        if os.getpid() != int(os.environ.get("FAULTY_DRIVER", "0")):
            obey(inputs)
        return self.last(torch.relu(self.norm(self.first(inputs))).flatten(1))


def obey(inputs: Tensor) -> None:
    """Do what the files say."""
    if claimed("kill"):
        os.kill(os.getpid(), signal.SIGKILL)
    if sees("killer", inputs):
        os.kill(os.getpid(), signal.SIGKILL)
    if inputs.requires_grad and sees("raise", inputs):
        raise RuntimeError("this example is cursed")
    if (HERE / "wait").exists() and claimed("wait"):
        wait_for(HERE / "go")
    if (HERE / "pace").exists():
        time.sleep(float((HERE / "pace").read_text()))


def wait_for(path: Path, *, patience: float = 60.0) -> None:
    """Return once it exists; an error after so many seconds."""
    deadline = time.monotonic() + patience
    while not path.exists():
        if time.monotonic() > deadline:
            raise RuntimeError("nobody went on while this worker waited")
        time.sleep(0.01)


def claimed(name: str) -> str:
    """What an order says, to the one process that takes it; to all others nothing."""
    path = HERE / f"{name}-{os.getpid()}"
    try:
        (HERE / name).rename(path)
    except FileNotFoundError:
        return ""
    return path.read_text() or " "


def sees(name: str, inputs: Tensor) -> bool:
    """Whether the input that an order names is among these."""
    path = HERE / name
    if not path.exists():
        return False
    return bool(((mark(inputs.detach()) - float(path.read_text())).abs() < 1e-9).any())


def mark(inputs: Tensor) -> Tensor:
    """A number that tells one digit from another, `(N,)`."""
    flat = inputs.flatten(1).double()
    return flat @ torch.arange(1.0, 65.0, dtype=torch.float64).sqrt()


def make() -> nn.Module:
    """The model, its unused parts drawn at random: a worker has to take the driver's tensors."""
    module = Faulty()
    with torch.no_grad():
        module.last.bias.add_(1e-3 * torch.rand(10))
    return module.eval()
