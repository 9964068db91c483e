"""An attack in small: the same steps on the same model, only fewer, so that the full length can be told from it."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

from bench.core.types import Attack, Finish

__all__ = ["Miniature", "SearchAlone", "miniature"]

_LENGTHS = ("queries", "steps")
_REPEATS = ("restarts", "targets")


class Miniature(NamedTuple):
    """A shortened attack.

    Attributes:
        attack: the attack with `n_steps` steps or queries, one restart and one target.
        n_steps: how many it takes.
        n_full: how many the whole attack takes, over all restarts and targets.
    """

    attack: Attack
    n_steps: int
    n_full: int


class SearchAlone:
    """An attack without the float32 steps that follow its search in lower precision.

    Args:
        attack: one stage.
    """

    def __init__(self, attack: Attack) -> None:
        self._attack = attack

    def __getattr__(self, name: str) -> Any:
        return getattr(self._attack, name)

    @property
    def finish(self) -> Finish | None:
        """No steps, but lower precision where the attack has it."""
        return "nothing" if self._attack.finish is not None else None


def miniature(attack: Attack, n_steps: int, *, n_classes: int) -> Miniature:
    """Shorten an attack by the fields that attacks use for their length; one without them stays whole.

    Args:
        attack: one stage.
        n_steps: how many steps or queries to leave.
        n_classes: of the model; targets are at most the wrong classes.
    """
    values = _counts(attack)
    length = next((name for name in _LENGTHS if name in values), None)
    if length is None or values[length] <= n_steps:
        return Miniature(attack, 1, 1)
    n_full = values[length] * values.get("restarts", 1) * min(values.get("targets", 1), n_classes - 1)
    small = {length: n_steps, **{name: 1 for name in _REPEATS if name in values}}
    return Miniature(_replaced(attack, small), n_steps, n_full)


def _counts(attack: Any) -> dict[str, int]:
    """The fields that are whole numbers above 0."""
    values = {field.name: getattr(attack, field.name) for field in dataclasses.fields(attack)}
    return {name: value for name, value in values.items() if type(value) is int and value > 0}


def _replaced(attack: Any, values: dict[str, int]) -> Attack:
    replaced: Attack = dataclasses.replace(attack, **values)
    return replaced
