"""What a journal was made for: everything that, if it changed, would make its verdicts another run's."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from bench.core import digest
from bench.data import FileExamples
from bench.models import Sources, imported_by, source_contents, source_file_of, state_digest
from bench.row import OPTIONAL, Fingerprint, fingerprint_distance, same_function, to_json

if TYPE_CHECKING:
    from bench.core.types import Examples
    from bench.suites import AttackSuite

__all__ = ["Header", "InputDigests", "code_digest", "differences", "engine_of", "identify", "inputs_digest"]

_SHOWN_DIGEST = 12
_TOLD = ("precision_reason", "command")
"""Fields that change no verdict, and are told, not compared."""


@dataclass(frozen=True, kw_only=True)
class InputDigests:
    """Digests of what is evaluated.

    Args:
        model: of the state: names, dtypes, shapes, bytes.
        factory: of the source that builds the architecture.
        dataset: of the whole split, so that more examples of it are still the same data.
        fingerprint: the model's logits on fixed inputs; None where the journal shall ask.
    """

    model: str
    factory: str
    dataset: str
    fingerprint: Fingerprint | None = None


@dataclass(frozen=True, kw_only=True)
class Header:
    """The first thing in a journal; a run continues it only where all fields are equal but those that are told.

    These are `precision_reason` and `command`, the words that the journal was made with. Fingerprints are equal where
    they differ by no more than rounding. `surrogates` are the models that examples are transferred from, by name with
    the digests of their states.
    """

    model: str
    factory: str
    dataset: str
    suite: str
    suite_digest: str
    attacks: dict[str, dict[str, Any]]
    threat_model: str
    seed: int
    engine: str
    precision: str
    execution: str
    device: str
    batch_size: int
    code: str
    precision_reason: str = field(default="", metadata=OPTIONAL)
    command: str = field(default="", metadata=OPTIONAL)
    surrogates: dict[str, str] = field(default_factory=dict, metadata=OPTIONAL)
    fingerprint: Fingerprint | None = field(default=None, metadata=OPTIONAL)

    @property
    def digest(self) -> str:
        """SHA-256 over all fields but the fingerprint, which rounds otherwise on other machines."""
        return digest.of_json(to_json(replace(self, fingerprint=None)))


def engine_of(suite: AttackSuite) -> str:
    """Which engine the suite's attacks run on; "fast" where none of them has a choice."""
    parts = [part for attack in suite.attacks for part in (attack, *attack.stages)]
    return next((part.engine for part in parts if part.engine is not None), "fast")


@cache
def code_digest() -> str:
    """Digest of the sources that decide a verdict: acceleration, attacks, evaluation and ops."""
    return digest.of_packages("acceleration", "attacks", "evaluation", "ops")


def identify(module: nn.Module, examples: Examples) -> InputDigests:
    """Digests for a bare module and examples of which nothing more is known.

    The factory is the text of the module, the sources of its classes, and the user's modules that these are in or
    import. The examples are not digested here (a larger run shall reuse a smaller one's work); the journal checks the
    inputs of every chunk instead.
    """
    classes = sorted(
        {type(part) for part in module.modules()}, key=lambda kind: f"{kind.__module__}.{kind.__qualname__}"
    )
    return InputDigests(
        model=state_digest(module.state_dict()),
        factory=digest.of_bytes(
            repr(module).encode(), *(_source(kind).encode() for kind in classes), *source_contents(_modules(classes))
        ),
        dataset=f"examples of shape {examples.shape}",
    )


def inputs_digest(examples: Examples) -> str:
    """Digest of inputs and labels, wherever they lie; files are not decoded for it."""
    if isinstance(examples, FileExamples):
        return examples.digest
    return digest.of_bytes(_bytes(examples.inputs), _bytes(examples.labels), _bytes(examples.indices))


def differences(stored: Header, wanted: Header) -> tuple[str, ...]:
    """Name the fields that differ and are compared, with both values: "seed (0 there, 1 here)"."""
    old, new = (dict(_flat(to_json(replace(each, fingerprint=None)))) for each in (stored, wanted))
    named = [
        f"{name} ({_shown(old.get(name, 'absent'))} there, {_shown(new.get(name, 'absent'))} here)"
        for name in [*new, *(name for name in old if name not in new)]
        if name not in _TOLD and old.get(name, "absent") != new.get(name, "absent")
    ]
    if (stored.fingerprint is None) != (wanted.fingerprint is None):
        named.append("fingerprint (absent on one side)")
    elif same_function(stored.fingerprint, wanted.fingerprint) is False:
        apart = fingerprint_distance(stored.fingerprint, wanted.fingerprint)
        named.append(f"fingerprint (logits on fixed inputs differ by {apart:.2g} of the largest)")
    return tuple(named)


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            yield from _flat(item, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", item


def _shown(value: Any) -> str:
    text = str(value)
    is_digest = len(text) == 64 and set(text) <= set("0123456789abcdef")
    return text[:_SHOWN_DIGEST] if is_digest else text


def _bytes(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()


def _modules(classes: Iterable[type]) -> Sources:
    homes = {name: own for name in sorted({kind.__module__ for kind in classes}) if (own := source_file_of(name))}
    return homes | imported_by(homes.items())


def _source(kind: type[nn.Module]) -> str:
    try:
        return inspect.getsource(kind)
    except (OSError, TypeError):
        return f"{kind.__module__}.{kind.__qualname__}"
