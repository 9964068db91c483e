"""Scale and shift of each example's channels in one pass, where images lie channels last.

`x * s[:, :, None, None] + t[:, :, None, None]` broadcasts along the innermost axis, the channels. Where these are few,
that is an order of magnitude slower on a CPU than adding two images; over whole rows of pixels it is not.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx

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
    """The same over rows of pixels `(N, H, W * C)`, with scale and shift repeated along a row."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        ctx.save_for_backward(features, scale)
        return _images(torch.addcmul(_row(shift, features), _rows(features), _row(scale, features)), features)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features, scale = ctx.saved_tensors
        count, channels, _, width = features.shape
        rows = _rows(gradient)
        slope = _images(rows * _row(scale, features), features)
        along = torch.ones(count, 1, rows.shape[1], dtype=rows.dtype, device=rows.device)  # a product sums fastest
        to_scale, to_shift = (
            (along @ each).reshape(count, width, channels).sum(1) for each in (rows * _rows(features), rows)
        )
        return slope, to_scale, to_shift


def _rows(images: Tensor) -> Tensor:
    """`(N, C, H, W)` as `(N, H, W * C)`."""
    return images.permute(0, 2, 3, 1).flatten(2)


def _images(rows: Tensor, like: Tensor) -> Tensor:
    count, channels, height, width = like.shape
    return rows.reshape(count, height, width, channels).permute(0, 3, 1, 2)


def _row(values: Tensor, like: Tensor) -> Tensor:
    """`(N, C)` repeated along a row: `(N, 1, W * C)`."""
    return values.repeat(1, like.shape[3])[:, None]


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
