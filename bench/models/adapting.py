"""Models that have to be asked in their own way: in another precision, with copies, or with gradients left on.

None of that changes which function a model is, so the harness asks it as it needs and says so.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.ops.generators import generators_kept

__all__ = ["Adapted", "Needs", "adapted", "remarks_on"]

_ASKED = ("raw", "route", "routed")
"""Further methods that take inputs, of models that declare a structure."""


@dataclass(frozen=True, kw_only=True)
class Needs:
    """How a model has to be asked.

    Args:
        dtype: of the inputs that it takes; None for float32.
        answers: dtype of its logits; None for float32.
        copies: it changes its input in place.
        gradients: it takes gradients in its forward pass, outside `torch.enable_grad`.
    """

    dtype: torch.dtype | None = None
    answers: torch.dtype | None = None
    copies: bool = False
    gradients: bool = False


class Adapted(nn.Module):
    """A model that is asked as it needs, and answers in float32; what it declares is found here too.

    Args:
        module: the model.
        needs: how it has to be asked.
    """

    def __init__(self, module: nn.Module, needs: Needs) -> None:
        super().__init__()
        self.module, self.needs = module, needs
        self.training = module.training

    def forward(self, inputs: Tensor) -> Any:
        """Return the model's answer to `inputs` `(N, C, H, W)`: logits `(N, K)`."""
        return self._asked(self.module, inputs)

    def _asked(self, call: Callable[..., Any], inputs: Tensor, *arguments: Any) -> Any:
        given = inputs if self.needs.dtype is None else inputs.to(self.needs.dtype)
        given = given.clone() if self.needs.copies else given
        answer = _with_gradients(call)(given, *arguments) if self.needs.gradients else call(given, *arguments)
        return answer if self.needs.answers is None or isinstance(answer, tuple) else answer.float()

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            found = getattr(super().__getattr__("module"), name)
        return functools.partial(self._asked, found) if name in _ASKED and callable(found) else found


@torch.no_grad()
def adapted(module: nn.Module, inputs: Tensor) -> nn.Module:
    """Find out by asking how `module` has to be asked; one that needs nothing, or always fails, is returned as it is.

    Args:
        module: in eval mode; it is not changed, nor are the global random generators.
        inputs: `(N, C, H, W)` in [0, 1], float32, on its device; a few images.
    """
    dtypes = {each.dtype for each in module.parameters() if each.is_floating_point()}
    ways = [Needs(), Needs(gradients=True)]
    if len(dtypes) == 1 and torch.float32 not in dtypes:
        ways.insert(1, Needs(dtype=dtypes.pop()))
    for needs in ways:
        given = inputs.clone()
        version = given._version
        try:
            with generators_kept():
                answer = Adapted(module, needs)(given)
        except Exception:  # noqa: BLE001 - a user's model may raise anything; whoever asks it next says what
            continue
        answers = answer.dtype if isinstance(answer, Tensor) and answer.is_floating_point() else torch.float32
        changed = given._version != version or not torch.equal(given, inputs)
        found = Needs(
            dtype=needs.dtype,
            answers=answers if answers is not torch.float32 else None,
            copies=changed,
            gradients=needs.gradients,
        )
        return module if found == Needs() else Adapted(module, found)
    return module


def _with_gradients(call: Callable[..., Any]) -> Callable[..., Any]:
    """`call` with gradients on inside it, whose answer has none where they are off around it."""

    def called(*arguments: Any) -> Any:
        with torch.enable_grad():
            answer = call(*arguments)
        return answer if torch.is_grad_enabled() or not isinstance(answer, Tensor) else answer.detach()

    return called


def remarks_on(module: nn.Module) -> tuple[str, ...]:
    """What a user should know of how `module` is asked, a line each."""
    if not isinstance(module, Adapted):
        return ()
    needs = module.needs
    said = (
        (needs.dtype, f"The model takes {_named(needs.dtype)}: images are cast to it."),
        (needs.answers, f"The model answers in {_named(needs.answers)}: its logits are cast to float32."),
        (needs.copies, "The model changes its input in place: it is given copies."),
        (needs.gradients, "The model takes gradients in its forward pass: they are left on."),
    )
    return tuple(text for holds, text in said if holds)


def _named(dtype: torch.dtype | None) -> str:
    return str(dtype).removeprefix("torch.")
