"""Full float32 while the harness works: no TF32, no reduced-precision sums, no autocast, no autotuned kernels."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

__all__ = ["full_float32"]

_EXACT = ("ieee", "none")


class _Flag(NamedTuple):
    """A process-wide setting, as attribute `name` of `owner`."""

    owner: Any
    name: str

    def get(self) -> Any:
        return getattr(self.owner, self.name)

    def set(self, value: Any) -> None:
        setattr(self.owner, self.name, value)


@contextlib.contextmanager
def full_float32() -> Iterator[None]:
    """Compute in full float32 with fixed algorithms inside the block; put every flag back after it."""
    plain = [(flag, flag.get()) for flag in _plain_flags()]
    named = [(flag, flag.get()) for flag in _named_precisions()]
    tf32, products = _legacy_tf32(), _legacy_products()
    try:
        torch.backends.cudnn.allow_tf32 = False
        torch.set_float32_matmul_precision("highest")
        for flag, _ in named:
            if flag.get() not in _EXACT:
                flag.set("ieee")
        for flag, _ in plain:
            flag.set(flag.name == "deterministic")
        with torch.autocast("cpu", enabled=False), torch.autocast("cuda", enabled=False):
            yield
    finally:
        if tf32 is not None:
            torch.backends.cudnn.allow_tf32 = tf32
        if products is not None:
            torch.set_float32_matmul_precision(products)
        for flag, value in named + plain:
            flag.set(value)


def _plain_flags() -> list[_Flag]:
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    return [
        _Flag(matmul, "allow_fp16_reduced_precision_reduction"),
        _Flag(matmul, "allow_bf16_reduced_precision_reduction"),
        _Flag(cudnn, "benchmark"),
        _Flag(cudnn, "deterministic"),
    ]


def _named_precisions() -> list[_Flag]:
    """The per-operator settings that torch has since 2.9, outermost first; none on an older one."""
    backends = torch.backends
    owners = [backends, backends.cuda.matmul, backends.cudnn, backends.mkldnn]
    owners += [
        getattr(owner, name)
        for owner in (backends.cudnn, backends.mkldnn)
        for name in ("matmul", "conv", "rnn")
        if hasattr(owner, name)
    ]
    return [_Flag(owner, "fp32_precision") for owner in owners if hasattr(owner, "fp32_precision")]


def _legacy_tf32() -> bool | None:
    """The TF32 switch of cuDNN, or None where torch refuses to say because operators were set one by one."""
    try:
        return bool(torch.backends.cudnn.allow_tf32)
    except RuntimeError:
        return None


def _legacy_products() -> str | None:
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return None
