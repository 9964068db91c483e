"""Scale and shift of each example's channels in one pass, where images lie channels last."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx

from bench.acceleration.pixel_rows import as_images, as_rows, channel_sums, repeated

__all__ = ["fuse_affine", "scale_and_shift"]

FEW_CHANNELS = 16
"""From twice as many on, torch's own broadcasting is as fast."""
_PER_CHANNEL = (slice(None), slice(None), None, None)


def fuse_affine(network: fx.GraphModule) -> fx.GraphModule:
    """Replace every scaling and shift of each example's channels by `scale_and_shift`; `network` is changed."""
    for node in list(network.graph.nodes):
        found = _affine(node)
        if found is not None:
            with network.graph.inserting_before(node):
                node.replace_all_uses_with(network.graph.call_function(scale_and_shift, found))
    network.graph.eliminate_dead_code()
    network.recompile()
    return network


def scale_and_shift(features: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """`features * scale + shift`.

    Args:
        features: `(N, C, H, W)`.
        scale: of each example's channels, `(N, C)`.
        shift: likewise.
    """
    few = features.shape[1] <= FEW_CHANNELS and features.is_contiguous(memory_format=torch.channels_last)
    if few and features.device.type == "cpu":
        moved: Tensor = _ByRow.apply(features, scale, shift)
        return moved
    return features * scale[:, :, None, None] + shift[:, :, None, None]


class _ByRow(torch.autograd.Function):
    """The same over rows of pixels, with scale and shift repeated along a row."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        ctx.save_for_backward(features, scale)
        moved = torch.addcmul(repeated(shift, features), as_rows(features), repeated(scale, features))
        return as_images(moved, features)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features, scale = ctx.saved_tensors
        rows = as_rows(gradient)
        slope = as_images(rows * repeated(scale, features), features)
        to_scale, to_shift = (
            channel_sums(each, features.shape[1]).to(scale.dtype) for each in (rows * as_rows(features), rows)
        )
        return slope, to_scale, to_shift


def _affine(node: fx.Node) -> tuple[fx.Node, fx.Node, fx.Node] | None:
    """Features, scale and shift, where the node is the sum of a product with a scale and a shift of channels."""
    if node.op != "call_function" or node.target not in (operator.add, torch.add) or len(node.args) != 2:
        return None
    product, shift = node.args
    if not isinstance(product, fx.Node) or product.target not in (operator.mul, torch.mul) or len(product.users) > 1:
        return None
    features, scale = product.args
    parts = (_per_channel(scale), _per_channel(shift))
    if parts[0] is None or parts[1] is None or not isinstance(features, fx.Node):
        return None
    return features, parts[0], parts[1]


def _per_channel(node: Any) -> fx.Node | None:
    """What is indexed by `[:, :, None, None]`."""
    if not isinstance(node, fx.Node) or node.target is not operator.getitem or node.args[1] != _PER_CHANNEL:
        return None
    values = node.args[0]
    return values if isinstance(values, fx.Node) else None
