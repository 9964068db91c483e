"""A network in an ONNX file, run by onnxruntime: `onnx:FILE`. It answers, and gives no gradient.

The file takes one batch of images in [0, 1], `(N, C, H, W)` with N free, and gives logits `(N, K)`; normalisation is a
part of it. It holds its weights: onnxruntime would read a file of weights beside it from wherever the file says.
"""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.core import digest as core_digest
from bench.core.errors import BenchError
from bench.core.plain_text import reason_of
from bench.models import digest
from bench.models.loaded import LoadedModel, freeze
from bench.models.sources import library
from bench.models.sources.source import Source, Wanted
from bench.storage import expanded, read_regular

__all__ = ["ENTRY", "OnnxModel"]

EXTRA = "onnx"
MOST_BYTES = (1 << 31) - 1
"""The largest message that protocol buffers, of which an ONNX file is one, can be."""
_FLOAT32 = "tensor(float)"


class OnnxModel(nn.Module):
    """A network that onnxruntime runs on the CPU in one thread, wherever its inputs lie.

    Its state is the file: `load_state_dict` brings what `content` leaves out.

    Args:
        content: bytes of the file.
    """

    def __init__(self, content: bytes = b"") -> None:
        super().__init__()
        self.content = content
        self._session: Any = None

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits `(N, K)` of inputs `(N, C, H, W)`, cut off from them.

        Raises:
            TypeError: if they are what a tracer puts in their place, on which onnxruntime would take the process down.
        """
        if not isinstance(inputs, Tensor):
            raise TypeError(f"Expected `inputs` to be a tensor, but got a {type(inputs).__name__}.")
        session = self.session
        (given,) = session.get_inputs()
        (logits,) = session.run(None, {given.name: inputs.detach().cpu().contiguous().numpy()})
        return torch.from_numpy(logits).to(inputs.device)

    @property
    def session(self) -> Any:
        """The network in onnxruntime, made when it is first asked for."""
        if self._session is None:
            self._session = _session(self.content)
        return self._session

    @property
    def n_parameters(self) -> int:
        """How many floating-point numbers the file holds: weights, and averages of batch norms that were not folded."""
        onnx = library.imported("onnx", extra=EXTRA)
        kinds = {getattr(onnx.TensorProto, name) for name in ("FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE")}
        found = _tensors(onnx.load_model_from_string(self.content), onnx.TensorProto)
        return sum(math.prod(each.dims) for each in found if each.data_type in kinds)

    def get_extra_state(self) -> Tensor:
        """The file's bytes, uint8 `(n,)`."""
        return torch.from_numpy(np.frombuffer(self.content, dtype=np.uint8).copy())

    def set_extra_state(self, state: Tensor) -> None:
        """Become the network of other bytes."""
        self.content, self._session = state.numpy().tobytes(), None

    def __getstate__(self) -> dict[str, Any]:
        """What is copied: a copy makes a session of its own."""
        return {**self.__dict__, "_session": None}


def load(wanted: Wanted) -> LoadedModel:
    """Read the file that a name gives.

    Raises:
        BenchError: if there is no such file, it is no ONNX file or not whole, or takes or gives anything else.
    """
    library.required("onnxruntime", extra=EXTRA)
    if wanted.weights is not None:
        raise BenchError(f"{wanted.name!r} has its weights in it, so there is no place for --weights: leave it out.")
    module = OnnxModel()
    if not wanted.empty:
        path = expanded(Path(wanted.name.partition(":")[2]))
        module = OnnxModel(_content(path, wanted.name))
        _check_whole(module.content, path)
        try:
            session = module.session
        except Exception as error:  # of onnxruntime's own kinds
            raise BenchError(f"onnxruntime cannot run {path}: {reason_of(error)}") from error
        _check_takes(session.get_inputs(), path)
        _check_gives(session.get_outputs(), path)
    freeze(module, wanted.device)
    return LoadedModel(
        name=wanted.name,
        module=module,
        digest=digest.state_digest(module.state_dict()),
        factory_digest=core_digest.of_bytes(b"onnxruntime", importlib.metadata.version("onnxruntime").encode()),
        num_classes=wanted.num_classes,
    )


def _content(path: Path, name: str) -> bytes:
    try:
        return read_regular(path, most_bytes=MOST_BYTES)
    except FileNotFoundError:
        raise BenchError(f"No file {path} for model {name!r}.") from None
    except OSError as error:
        raise BenchError(f"Cannot read model {path}: {error.strerror or error}.") from error


def _session(content: bytes) -> Any:
    """A session that gives the same numbers every time."""
    runtime = library.imported("onnxruntime", extra=EXTRA)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 4  # it raises what is wrong, too
    return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _check_whole(content: bytes, path: Path) -> None:
    """Refuse a file whose weights lie in others."""
    onnx = library.imported("onnx", extra=EXTRA)
    try:
        network = onnx.load_model_from_string(content)
    except Exception as error:  # of the parser's own kind
        raise BenchError(f"{path} is no ONNX file: {reason_of(error)}") from error
    outside = next((each.name for each in _tensors(network, onnx.TensorProto) if each.external_data), None)
    if outside is not None:
        raise BenchError(
            f"Expected {path} to hold its weights, but those of {outside!r:.80} are in another file: export it without"
            " external data."
        )


def _tensors(message: Any, kind: type) -> Iterator[Any]:
    """Every tensor in a message, in subgraphs, sparse tensors and functions too."""
    if isinstance(message, kind):
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for each in [value] if hasattr(value, "ListFields") else value:
                yield from _tensors(each, kind)


def _check_takes(inputs: Any, path: Path) -> None:
    shapes = ", ".join(_told(each) for each in inputs)
    if len(inputs) != 1 or inputs[0].type != _FLOAT32 or len(inputs[0].shape) != 4:
        raise BenchError(
            f"Expected {path} to take one batch of images, (N, C, H, W) in float32, but it takes {shapes or 'nothing'}."
        )
    if isinstance(inputs[0].shape[0], int):
        raise BenchError(
            f"Expected {path} to take batches of any size, but it takes {shapes}: export it with a free batch dimension"
            " (dynamic_axes or dynamic_shapes)."
        )


def _check_gives(outputs: Any, path: Path) -> None:
    if len(outputs) != 1 or outputs[0].type != _FLOAT32 or len(outputs[0].shape or (0, 0)) != 2:
        shapes = ", ".join(_told(each) for each in outputs)
        raise BenchError(
            f"Expected {path} to give one thing, logits (N, K) in float32, but it gives {shapes}: export the logits"
            " alone."
        )


def _told(value: Any) -> str:
    """Name, shape and type of an input or output, for messages."""
    shape = ", ".join(str(each or "?") for each in value.shape or ())
    return f"{value.name} ({shape}) of {value.type.removeprefix('tensor(').removesuffix(')')}"


ENTRY = Source(name="onnx", form="onnx:FILE", load=load)
