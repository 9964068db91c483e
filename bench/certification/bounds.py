"""Certified lower bounds on margins: intervals, then CROWN, for networks of affine operations and ReLUs.

Intervals: Gowal et al. 2018 (arXiv 1810.12715), equations 4 to 6. CROWN: Zhang et al. 2018 (arXiv 1811.00866), theorem
3.2 with the adaptive lower slope of section 3.3: a ReLU that may be on or off lies below the chord, and above z where
its largest input outweighs its least, else above 0.

How it is done is OUR CHOICE. Between ReLUs a network is affine, so autograd carries the linear bounds backwards: the
gradient of a ReLU is the slope of the line that the sign of what arrives asks for, and a number `gap` that goes back
beside it collects by how much the lines lie below the network at the centre x0 of the box. So
`c f(x) >= c f(x0) - gap + a (x - x0)`, whose least value over ball and box is known. Where intervals do not say whether
a ReLU is on, its input is bounded in the same way, from the first ReLU to the last.

Soundness: margins and intervals are computed in float64, for the ball that a verdict allows (2^-23 more in Linf, a part
in 10^6 else), and a margin counts where it exceeds 10^-4 of the largest logit: ten times what rounding of float32 moved
in any shipped model. CROWN's bounds inside the network are computed in float32, ten times as fast, and are widened by
10^-4 of their terms. It is a proof about the network in real numbers with room for rounding, not about each operation.
"""

from __future__ import annotations

import copy
import functools
import operator
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from bench.acceleration import traced
from bench.core.errors import BenchError
from bench.core.plain_text import reason_of
from bench.core.types import Norm, ThreatModel
from bench.ops import norms
from bench.ops.full_float32 import full_float32

__all__ = ["METHOD", "Bounded", "Box", "Certifier", "Margin"]

METHOD = "intervals, then CROWN with adaptive slopes, in float64"

_SLACK = {Norm.LINF: 2.0**-23}
_SLACK_OF_LENGTH = 1e-6
_ROUNDING = 1e-4
_SAME = 1e-3
_LEAST = 1e-30
_LOGITS = 2  # dimensions
_ROWS = 256  # bounds of one pass, twice: below and above

_Ends = dict[fx.Node, tuple[Tensor, Tensor]]
"""For each ReLU the least and the largest of each of its inputs, `(1, ...)`."""
Kind = Literal["relu", "summing", "weighted", "batch-norm", "add", "scale", "shape"]

_KINDS: Mapping[object, Kind] = {
    **dict.fromkeys((nn.ReLU, functional.relu, torch.relu, torch.relu_, "relu", "relu_"), "relu"),
    **dict.fromkeys((nn.Conv2d, nn.Linear, functional.conv2d, torch.conv2d, functional.linear), "weighted"),
    **dict.fromkeys((nn.BatchNorm1d, nn.BatchNorm2d), "batch-norm"),
    **dict.fromkeys(
        (nn.Flatten, nn.Unflatten, nn.Identity, nn.Dropout, nn.Dropout2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d), "summing"
    ),
    **dict.fromkeys((functional.avg_pool2d, functional.adaptive_avg_pool2d, torch.flatten, torch.mean), "summing"),
    **dict.fromkeys((torch.reshape, torch.squeeze, torch.sum), "summing"),
    **dict.fromkeys(("flatten", "view", "reshape", "mean", "sum", "squeeze", "contiguous"), "summing"),
    **dict.fromkeys((operator.add, operator.iadd, operator.sub, operator.isub, torch.add, torch.sub), "add"),
    **dict.fromkeys(("add", "sub", "add_", "sub_"), "add"),
    **dict.fromkeys((operator.mul, operator.truediv, torch.mul, torch.div, "mul", "div"), "scale"),
    **dict.fromkeys((getattr, "size", "dim"), "shape"),
}
_FRESH: tuple[Kind, ...] = ("relu", "weighted", "batch-norm", "add", "scale")
"""What gives a tensor of its own, unless it works in place; a sum may be a view."""
_IN_PLACE = (operator.iadd, operator.isub, torch.relu_, "relu_", "add_", "sub_")
_PRODUCTS = (operator.mul, torch.mul, "mul")
_KNOWN = "convolutions, linear layers, batch norm, ReLU, additions, constant factors, average pooling and flattening"


class Box(NamedTuple):
    """Every value within `radius` of `center`; both `(N, ...)`."""

    center: Tensor
    radius: Tensor


class Margin(NamedTuple):
    """What is proved of one example.

    Attributes:
        least: no input of the threat model has a smaller margin, the room for rounding taken off; above 0, no attack
            can succeed.
        by: what proved it.
    """

    least: float
    by: Literal["intervals", "CROWN"]


class Bounded:
    """A network whose answers can be bounded: a graph of affine operations and ReLUs, sharing the module's weights.

    Args:
        module: maps inputs `(N, C, H, W)` to logits `(N, K)`.
        name: of the model, for messages.

    Raises:
        BenchError: naming the first operation that cannot be bounded.
    """

    def __init__(self, module: nn.Module, *, name: str = "the model") -> None:
        try:
            self._network = traced(module)
        except Exception as error:  # whatever a user's model does while it is traced
            raise BenchError(
                f"Cannot bound {name}: it is no fixed list of operations ({reason_of(error)}). Known: {_KNOWN}."
            ) from error
        self._kinds: dict[fx.Node, Kind] = {}
        varying: set[fx.Node] = set()
        for node in self._network.graph.nodes:
            if node.op == "placeholder" or not varying.isdisjoint(node.all_input_nodes):
                if node.op not in ("placeholder", "output"):
                    self._kinds[node] = self._kind(node, varying, name)
                    if self._is_in_place(node) and not self._is_alone(node.args[0]):
                        raise BenchError(
                            f"Cannot bound {name}: {node.name} writes into what another operation, or the caller, sees."
                            f" Let it give a new tensor. Known: {_KNOWN}."
                        )
                if self._kinds.get(node) != "shape":
                    varying.add(node)

    @property
    def relus(self) -> list[fx.Node]:
        """The ReLUs, in the order of their calls."""
        return [node for node, kind in self._kinds.items() if kind == "relu"]

    def intervals(self, box: Box, keep: Callable[[fx.Node, Box], None] = lambda node, z: None) -> Box:
        """Bounds of the logits over a box, by intervals; differentiable in the weights.

        Args:
            box: of the inputs, `(N, C, H, W)`.
            keep: called with each ReLU and what goes into it.
        """

        def apply(node: fx.Node, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
            kind = self._kinds[node]
            if kind == "relu":
                keep(node, arguments[0])
            return _through(kind, functools.partial(self._called, node), arguments, options, self._weights(node))

        found: Box = self._run(box, apply)
        return found

    def least(
        self,
        wanted: Tensor,
        region: _Region,
        lines: Mapping[fx.Node, tuple[Tensor, Tensor]],
        until: fx.Node | None = None,
    ) -> _Least:
        """Lower bounds of `wanted` `(S, ...)` times what goes into a ReLU (for None, times the logits) over a region.

        Args:
            wanted: one combination of the values a row.
            region: where the input may lie.
            lines: between what the inputs of all ReLUs before it lie, `(1, ...)` each.
            until: the ReLU.
        """
        # A row each, all of them the centre, whose gradients are its slopes.
        center = region.box.center.to(wanted.dtype).expand(len(wanted), -1, -1, -1).requires_grad_()
        gap = wanted.new_zeros(len(wanted), requires_grad=True)

        def apply(node: fx.Node, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
            if self._kinds[node] == "relu":
                return _Relaxed.apply(arguments[0], *lines[node], gap)
            return self._called(node, *arguments, **options)

        with torch.enable_grad():
            values = self._run(center, apply, until)
            slopes, below = torch.autograd.grad(values, (center, gap), wanted, materialize_grads=True)
        at_center = (wanted * values.detach()).flatten(1).sum(1).double()
        below = below.double()
        around = region.least(slopes.double())
        return _Least(at_center - below + around, at_center.abs() + below.abs() + around.abs())

    def _run(self, inputs: Any, apply: Callable[..., Any], until: fx.Node | None = None) -> Any:
        values: dict[fx.Node, Any] = {}
        for node in self._network.graph.nodes:
            arguments = fx.map_arg(node.args, values.__getitem__)
            options = fx.map_arg(node.kwargs, values.__getitem__)
            if node is until or node.op == "output":
                return arguments[0]
            if node.op == "placeholder":
                values[node] = inputs
            elif node.op == "get_attr":
                values[node] = operator.attrgetter(str(node.target))(self._network)
            elif node in self._kinds:
                values[node] = apply(node, arguments, options)
            else:
                values[node] = self._called(node, *arguments, **options)
        raise AssertionError("a graph ends with its output")

    def _called(self, node: fx.Node, *arguments: Any, **options: Any) -> Any:
        if node.op == "call_module":
            return self._network.get_submodule(str(node.target)).forward(*arguments, **options)
        if node.op == "call_method":
            return getattr(arguments[0], str(node.target))(*arguments[1:], **options)
        return node.target(*arguments, **options)  # type: ignore[operator]  # a function's target is the function

    def _weights(self, node: fx.Node) -> nn.Module | None:
        return self._network.get_submodule(str(node.target)) if node.op == "call_module" else None

    def _is_in_place(self, node: fx.Node) -> bool:
        module = self._weights(node)
        # relu(x, True) is; 1 equals True, and flatten(x, 1) is another thing.
        said = node.kwargs.get("inplace") or any(each is True for each in node.args[1:])
        return bool((module is None and node.target in _IN_PLACE) or getattr(module, "inplace", False) or said)

    def _is_alone(self, value: Any) -> bool:
        """Whether one operation alone sees the memory of what a node gives, by whatever views."""
        while isinstance(value, fx.Node) and len(value.users) == 1 and value in self._kinds:
            if self._kinds[value] in _FRESH and not self._is_in_place(value):
                return True
            value = value.args[0]
        return False

    def _kind(self, node: fx.Node, varying: set[fx.Node], name: str) -> Kind:
        module = self._weights(node)
        key = type(module) if module is not None else node.target
        kind = _KINDS.get(key)
        if kind is None or not _as_known(kind, key, node, module, varying):
            what = getattr(key, "__name__", str(key))
            where = f" {node.target}" if module is not None else ""
            raise BenchError(f"Cannot bound {name}: nothing is known of its {what}{where}. Known: {_KNOWN}.")
        return kind


class Certifier:
    """Proves of examples that no input of a threat model is classified otherwise.

    Args:
        module: maps inputs `(N, C, H, W)` in [0, 1] to logits `(N, K)`; it is not changed.
        threat_model: what the attacker may do.
        name: of the model, for messages.

    Raises:
        BenchError: if the network cannot be bounded.
    """

    def __init__(self, module: nn.Module, threat_model: ThreatModel, *, name: str = "the model") -> None:
        self._module, self._threat_model, self._name = module, threat_model, name
        try:
            plain = copy.deepcopy(module).eval().requires_grad_(False)
            self._exact = Bounded(copy.deepcopy(plain).double(), name=name)
            self._quick = Bounded(plain.float(), name=name)
        except BenchError:
            raise
        except Exception as error:  # of layers that may not be copied or converted
            raise BenchError(f"Cannot bound {name}: it cannot be copied ({reason_of(error)}).") from error
        epsilon = float(threat_model.epsilon)
        self._epsilon = epsilon + _SLACK.get(threat_model.norm, epsilon * _SLACK_OF_LENGTH)

    @full_float32()
    def margin(self, inputs: Tensor, label: int) -> Margin:
        """The proved margin of one example: by intervals alone where that is enough, else by CROWN.

        Args:
            inputs: `(1, C, H, W)`, in [0, 1].
            label: its class.

        Raises:
            BenchError: if the graph of the network does not answer as the network does.
        """
        exact = inputs.double()
        low, high = (exact - self._epsilon).clamp_min(0), (exact + self._epsilon).clamp_max(1)
        region = _Region(exact, Box((low + high) / 2, (high - low) / 2), self._threat_model.norm, self._epsilon)
        room = _ROUNDING * self._checked(inputs, exact).abs().amax().item()
        lines: _Ends = {}

        def keep(node: fx.Node, z: Box) -> None:
            lines[node] = (z.center - z.radius, z.center + z.radius)

        with torch.no_grad():
            logits = self._exact.intervals(region.box, keep)
        others = [k for k in range(logits.center.shape[1]) if k != label]
        least = logits.center - logits.radius
        largest = logits.center + logits.radius
        found = (least[0, label] - largest[0, others].amax()).item() - room
        by: Literal["intervals", "CROWN"] = "intervals" if found > 0 else "CROWN"
        wanted = -torch.eye(logits.center.shape[1], dtype=torch.float64, device=inputs.device)[others]
        wanted[:, label] = 1
        for tightened in (False, True):  # with the intervals' lines first, which costs next to nothing
            if tightened:
                self._tighten(region, lines)
            found = max(found, self._exact.least(wanted, region, lines).value.amin().item() - room)
            if found > 0:
                break
        return Margin(found, by)

    def _tighten(self, region: _Region, lines: _Ends) -> None:
        """Bound what goes into each unstable ReLU by the lines of those before it."""
        narrow: _Ends = {}
        for node, its in zip(self._exact.relus, self._quick.relus, strict=True):
            low, high = (each.clone(memory_format=torch.contiguous_format) for each in lines[node])
            unstable = ((low < 0) & (high > 0)).flatten().nonzero().flatten()
            for part in torch.split(unstable, _ROWS) if len(unstable) else ():
                wanted = torch.zeros(2, len(part), low.numel(), device=low.device)
                row = torch.arange(len(part), device=low.device)
                wanted[0, row, part], wanted[1, row, part] = 1, -1
                found = self._quick.least(wanted.view(-1, *low.shape[1:]), region, narrow, its)
                least, less = (found.value - _ROUNDING * found.terms).chunk(2)
                low.view(-1)[part] = torch.maximum(low.view(-1)[part], least)
                high.view(-1)[part] = torch.minimum(high.view(-1)[part], -less)
            lines[node], narrow[its] = (low, high), (low.float(), high.float())

    @torch.no_grad()
    def _checked(self, inputs: Tensor, exact: Tensor) -> Tensor:
        """Logits of the graph, which must be those of the module: hooks and the like are in no graph."""
        own = self._module(inputs).double()
        if own.ndim != _LOGITS or len(own) != 1:
            raise BenchError(
                f"Expected logits (1, K) of one image, but got {tuple(own.shape)}: name the dimension that is squeezed."
            )
        try:
            logits = self._exact.intervals(Box(exact, torch.zeros_like(exact))).center
        except Exception as error:  # of what hooks would have made ready
            raise BenchError(f"Cannot bound {self._name}: its operations fail alone ({reason_of(error)}).") from error
        if own.shape != logits.shape or (own - logits).abs().amax() > _SAME * (1 + own.abs().amax()):
            raise BenchError(f"Cannot bound {self._name}: it answers otherwise than the list of its operations does.")
        return logits


class _Region(NamedTuple):
    """What an attacker may choose: within `epsilon` of `inputs` in `norm`, and inside `box`."""

    inputs: Tensor
    box: Box
    norm: Norm
    epsilon: float

    def least(self, slopes: Tensor) -> Tensor:
        """The least value, or less, of `slopes (x - center)`; `slopes` `(S, ...)`, result `(S,)`."""
        flat = slopes.flatten(1)
        in_box = -(flat.abs() @ self.box.radius.flatten())
        if self.norm is Norm.LINF:
            return in_box
        in_ball = flat @ (self.inputs - self.box.center).flatten() - self.epsilon * norms.dual(flat, self.norm)
        return torch.maximum(in_box, in_ball)


class _Least(NamedTuple):
    """Lower bounds `(S,)`, and the sizes of the numbers that were added to them, which rounding is in proportion to."""

    value: Tensor
    terms: Tensor


class _Relaxed(torch.autograd.Function):
    """A ReLU whose gradient is the slope of a line below it where that is wanted positively, else of one above it."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, low: Tensor, high: Tensor, gap: Tensor) -> Tensor:
        ctx.save_for_backward(z[:1], low, high)
        return z.relu()

    @staticmethod
    def backward(ctx: Any, wanted: Tensor) -> tuple[Tensor, None, None, Tensor]:
        z, low, high = ctx.saved_tensors
        unstable = (low < 0) & (high > 0)
        above = torch.where(unstable, high / (high - low).clamp_min(_LEAST), (low >= 0).to(z))
        shift = torch.where(unstable, -above * low, torch.zeros_like(z))
        below = torch.where(unstable, (high > -low).to(z), above)
        # By how much the network lies above the one line, and below the other, at the centre.
        over, under = z.relu() - below * z, z.relu() - above * z - shift
        positive = wanted.clamp_min(0)
        negative = wanted - positive
        gap = positive.flatten(1) @ over.flatten() + negative.flatten(1) @ under.flatten()
        return torch.addcmul(positive * below, negative, above), None, None, gap


def _as_known(kind: Kind, key: object, node: fx.Node, module: nn.Module | None, varying: set[fx.Node]) -> bool:
    """Whether a call is as its kind means it: of one thing that varies (sums: of any number), and nothing else odd."""
    first = node.args[0] if node.args else None
    which = [each for each in node.args if isinstance(each, fx.Node) and each in varying]
    if len(which) < sum(each in varying for each in node.all_input_nodes):
        return False  # in a list, or by name
    if kind == "shape":
        return key is not getattr or node.args[1] in ("shape", "ndim")
    if kind in ("add", "scale") and node.kwargs:
        return False
    if kind != "add" and (len(which) > 1 or (first not in varying and key not in _PRODUCTS)):
        return False
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        return not module.training and module.running_mean is not None
    if isinstance(module, nn.Dropout | nn.Dropout2d):
        return not module.training
    return True


def _through(
    kind: Kind, call: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any], module: nn.Module | None
) -> Any:
    """What an operation makes of intervals; in every kind, the centre goes through as a point does."""
    centers = [each.center if isinstance(each, Box) else each for each in arguments]
    if kind == "relu":
        z = arguments[0]
        low, high = (z.center - z.radius).relu(), (z.center + z.radius).relu()
        return Box((low + high) / 2, (high - low) / 2)
    moved = call(*centers, **options)
    if kind == "shape":
        return moved
    if kind == "add":
        radii = [each.radius for each in arguments if isinstance(each, Box)]
        return Box(moved, functools.reduce(operator.add, radii).expand_as(moved))
    if kind == "scale":
        return Box(moved, call(*(each.radius if isinstance(each, Box) else _size(each) for each in arguments)))
    radius = arguments[0].radius
    if kind == "summing":
        return Box(moved, call(radius, *centers[1:], **options))
    if isinstance(module, nn.Conv2d):
        return Box(moved, module._conv_forward(radius, module.weight.abs(), None))
    if isinstance(module, nn.Linear):
        return Box(moved, functional.linear(radius, module.weight.abs()))
    if module is not None:
        return Box(moved, (moved - call(arguments[0].center - radius)).abs())
    weights, others = [_size(each) for each in centers[1:2]], centers[3:]
    options = {name: None if name == "bias" else _size(value) for name, value in options.items()}
    return Box(moved, call(radius, *weights, *[None for _ in centers[2:3]], *others, **options))


def _size(value: Any) -> Any:
    return abs(value) if isinstance(value, Tensor | float | int) else value
