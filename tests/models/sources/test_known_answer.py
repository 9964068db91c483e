"""A published network through the path of a user's model: the count of right answers is known to the image."""

from __future__ import annotations

import textwrap

import torch

from bench import data
from bench.models.registry import load

# ResNet-4B of VNN-COMP 2021, written from its description in the known answers.
SOURCE = """
    import torch
    from torch import nn
    from bench.models import Normalize

    class Block(nn.Module):
        def __init__(self, ins, outs, stride, project):
            super().__init__()
            self.conv1 = nn.Conv2d(ins, outs, 3, stride, 1)
            self.conv2 = nn.Conv2d(outs, outs, 3, 1, 1)
            self.shortcut = nn.Sequential(*[nn.Conv2d(ins, outs, 1, stride)] * project)

        def forward(self, x):
            return torch.relu(self.conv2(torch.relu(self.conv1(x))) + self.shortcut(x))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.normalize = [Normalize((0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616))]
            self.conv1 = nn.Conv2d(3, 16, 3, 2, 1)
            self.layer1 = nn.Sequential(Block(16, 32, 2, True), Block(32, 32, 1, False))
            self.layer2 = nn.Sequential(Block(32, 32, 2, True), Block(32, 32, 1, False))
            self.linear1 = nn.Linear(512, 100)
            self.linear2 = nn.Linear(100, 10)

        def forward(self, x):
            hidden = self.layer2(self.layer1(torch.relu(self.conv1(self.normalize[0](x)))))
            return self.linear2(torch.relu(self.linear1(hidden.flatten(1))))
"""


def test_resnet4b_is_right_on_7720_of_10000(tmp_path, cifar10_dir, known_answers):
    """Weights that others saved on CUDA load on a CPU and give the published clean accuracy, to the image."""
    (tmp_path / "resnet4b.py").write_text(textwrap.dedent(SOURCE))
    dataset = data.load("cifar10", data_dir=cifar10_dir)
    weights = known_answers / "resnet4b" / "resnet4b.pth"
    model = load(f"{tmp_path / 'resnet4b.py'}:Net", weights=weights, dataset=dataset).module
    with torch.no_grad():
        right = sum(int((model(part.inputs).argmax(1) == part.labels).sum()) for part in dataset.examples.split(1000))
    assert right == 7720
