"""Strict loading of a state dict: every name and shape must fit, and the first that does not is named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from bench.core.errors import BenchError, nearest

__all__ = ["fit"]

# What wrappers put before every name: DataParallel and DistributedDataParallel, torch.compile, averaged copies.
PREFIXES = ("module.", "_orig_mod.", "model.")


def fit(module: nn.Module, state: Mapping[str, Tensor], *, name: str, path: Path, assign: bool = False) -> None:
    """Load `state` into `module`, in the module's own dtypes.

    Args:
        module: the network; all its parameters and buffers are replaced.
        state: what a weights file holds; a prefix that wrappers put before every name is dropped.
        name: of the architecture or factory, for messages.
        path: of the file, for messages.
        assign: take the tensors themselves instead of copying, as a module without memory ("meta") needs.

    Raises:
        BenchError: if a name is missing or unexpected, or a shape or kind of number differs.
    """
    expected = module.state_dict()
    state = _without_prefix(state, expected)
    problems = [*_misfits(state, expected), *_misnamed(state, expected)]
    if problems:
        more = f" ({len(problems) - 1} more differ)" if len(problems) > 1 else ""
        raise BenchError(f"Weights {path} do not fit {name}: {problems[0]}{more}.")
    cast = {key: tensor.to(expected[key].dtype) for key, tensor in state.items()}
    module.load_state_dict(cast, strict=True, assign=assign)


def _without_prefix(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    while state and not state.keys() & expected.keys():
        prefix = next((each for each in PREFIXES if all(key.startswith(each) for key in state)), None)
        if prefix is None:
            break
        state = {key.removeprefix(prefix): tensor for key, tensor in state.items()}
    return state


def _misfits(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    found = []
    for key in expected.keys() & state.keys():
        ours, theirs = expected[key], state[key]
        if ours.shape != theirs.shape:
            found.append(f"{key!r} has shape {tuple(theirs.shape)} in the file, but {tuple(ours.shape)} in the model")
        elif ours.is_floating_point() != theirs.is_floating_point():
            found.append(f"{key!r} is {theirs.dtype} in the file, but {ours.dtype} in the model")
    order = {key: place for place, key in enumerate(expected)}
    return sorted(found, key=lambda text: order[text.split("'")[1]])


def _misnamed(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    # Files from before torch 0.4.1 have no `num_batches_tracked`, which nothing reads in eval mode.
    missing = [key for key in expected if key not in state and not key.endswith("num_batches_tracked")]
    unexpected = [key for key in state if key not in expected]
    return [
        *(f"{key!r} is missing in the file{_hint(key, unexpected)}" for key in missing),
        *(f"{key!r} in the file is not in the model{_hint(key, missing)}" for key in unexpected),
    ]


def _hint(key: str, choices: list[str]) -> str:
    close = nearest(key, choices)
    return f" (nearest: {close!r})" if close else ""
