"""Our networks against those of other projects: equal weights give equal logits."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.models.architectures import ARCHITECTURES
from bench.models.architectures.preact_resnet import PreActBlock
from bench.models.architectures.resnet import BasicBlock


def test_basic_block_is_torchvisions():
    """A post-activation block computes what torchvision's does."""
    resnet = pytest.importorskip("torchvision.models.resnet")
    shortcut = nn.Sequential(nn.Conv2d(4, 6, 1, 2, bias=False), nn.BatchNorm2d(6))
    theirs, ours = resnet.BasicBlock(4, 6, 2, shortcut).eval(), BasicBlock(4, 6, 2).eval()
    ours.load_state_dict({name.replace("downsample", "shortcut"): t for name, t in theirs.state_dict().items()})
    inputs = torch.rand(2, 4, 8, 8)
    torch.testing.assert_close(ours(inputs), theirs(inputs))


def test_pre_activation_block_is_the_formula():
    """A block without a change of shape adds its residual to the untouched input."""
    block = PreActBlock(3, 3, 1).eval()
    inputs = torch.rand(2, 3, 8, 8) - 0.5
    inside = nn.Sequential(block.bn1, nn.ReLU(), block.conv1, block.bn2, nn.ReLU(), block.conv2)
    torch.testing.assert_close(block(inputs), inputs + inside(inputs))


def test_pre_activation_shortcut_takes_the_activated_input():
    """A block that changes the shape convolves the activated input in its shortcut."""
    block = PreActBlock(3, 5, 2).eval()
    nn.init.zeros_(block.conv2.weight)
    inputs = torch.rand(2, 3, 8, 8) - 0.5
    torch.testing.assert_close(block(inputs), block.shortcut(torch.relu(block.bn1(inputs))))


def test_wide_resnet_starts_as_the_papers_code_does():
    """Convolutions start with variance 2 / (k * k * filters), the last bias with 0."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = ARCHITECTURES.get("wrn").build(depth=10, width=4)
    weight = net.blocks[2].conv2.weight  # 256 filters of 3 x 3
    assert weight.var().item() == pytest.approx(2 / (9 * 256), rel=0.02)
    assert not net.linear.bias.any()


@pytest.mark.parametrize("blocks", [[1, 0, 1], [1, 1], [1, 1, 1, 1]])
def test_wide_resnet_has_three_stages(blocks):
    """Another number of stages, or an empty one, is refused."""
    with pytest.raises(ValueError, match="`blocks`"):
        ARCHITECTURES.get("robust-wrn").build(blocks=blocks)
