"""The nouns of an evaluation: threat model, examples, classifier, attack.

This module needs no torch; the tensors that pass through it are only named in annotations.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from bench.core.errors import BenchError

if TYPE_CHECKING:
    from torch import Tensor

    from bench.core.structure import Structure

__all__ = ["Attack", "AuditRules", "CascadeRules", "Classifier", "Engine", "Examples", "Finish", "Norm", "ThreatModel"]

Engine = Literal["reference", "fast"]
"""Which implementation of AutoAttack's stages: the authors' package, or our own."""
Finish = Literal["cross-entropy", "margin", "nothing"]
"""What float32 steps climb after a search in lower precision; nothing where an attack is defined by its steps."""


_NUMBER = re.compile(r"[+-]?([0-9]+/[0-9]+|([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,2})?)")
_LONGEST_NUMBER = 60
_LARGEST = 10**24  # above and below the line: a folder is named after them
_THREAT_MODEL = re.compile(r"(?P<norm>[A-Za-z0-9]+):(?P<epsilon>[^:]+)")


class Norm(str, enum.Enum):
    """The norm that bounds a perturbation, over all pixels and channels of one example."""

    LINF = "Linf"
    L2 = "L2"
    L1 = "L1"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, kw_only=True)
class ThreatModel:
    """What the attacker may do: move an input by at most `epsilon` in `norm`, inside [0, 1].

    Args:
        norm: the norm of the perturbation.
        epsilon: its radius in input units, exact; above 0, and below 1 for Linf.

    Raises:
        BenchError: if epsilon is out of range.
    """

    norm: Norm
    epsilon: Fraction

    def __post_init__(self) -> None:
        if self.epsilon <= 0:
            raise BenchError(f"Expected epsilon above 0, but got {self.epsilon!s:.60}. Example: Linf:8/255.")
        if max(self.epsilon.numerator, self.epsilon.denominator) > _LARGEST:
            raise BenchError(
                "Expected epsilon with at most 24 digits above and below the line, but got one of more."
                " Example: Linf:8/255."
            )
        if self.norm is Norm.LINF and self.epsilon >= 1:
            raise BenchError(
                f"Expected an Linf epsilon below 1 (inputs are in [0, 1]), but got {self.epsilon}."
                " Did you mean Linf:8/255?"
            )

    @classmethod
    def parse(cls, text: str) -> ThreatModel:
        """Read `Linf:8/255`, `L2:0.5` or `L1:12`.

        >>> ThreatModel.parse("Linf:8/255").epsilon
        Fraction(8, 255)

        Raises:
            BenchError: if the text is not NORM:EPSILON or epsilon is out of range.
        """
        match = _THREAT_MODEL.fullmatch(text.strip())
        if match is None:
            raise BenchError(
                f"Expected a threat model as NORM:EPSILON, such as Linf:8/255 or L2:0.5, but got {text!r}."
            )
        names = {norm.value.lower(): norm for norm in Norm}
        norm = names.get(match["norm"].lower())
        if norm is None:
            raise BenchError(f"Unknown norm {match['norm']!r} in threat model {text!r}. Known: Linf, L2, L1.")
        number = match["epsilon"].strip()
        try:
            # An exponent of nine digits is quickly written, and never computed.
            if len(number) > _LONGEST_NUMBER or not _NUMBER.fullmatch(number):
                raise ValueError
            epsilon = Fraction(number)
        except (ValueError, ZeroDivisionError):
            raise BenchError(
                f"Expected epsilon as a number or a fraction, such as 8/255, but got {number!r:.60}."
            ) from None
        return cls(norm=norm, epsilon=epsilon)

    def __str__(self) -> str:
        return f"{self.norm}:{self._epsilon_text()}"

    @property
    def folder(self) -> str:
        """The name of this threat model as a folder.

        >>> ThreatModel.parse("Linf:8/255").folder
        'Linf-8_255'
        """
        return f"{self.norm}-{self._epsilon_text().replace('/', '_')}"

    def _epsilon_text(self) -> str:
        if self.epsilon.denominator > 1 and 255 % self.epsilon.denominator == 0:
            return f"{self.epsilon.numerator * 255 // self.epsilon.denominator}/255"
        return str(self.epsilon)


COMMON_THREAT_MODELS = tuple(
    (ThreatModel.parse(text), used_by)
    for text, used_by in (
        ("Linf:8/255", "RobustBench and most papers on CIFAR-10 and CIFAR-100"),
        ("Linf:4/255", "RobustBench on ImageNet"),
        ("L2:128/255", "Rice et al. 2020 on CIFAR-10, and our own on images of 32 x 32 and 64 x 64"),
        ("L2:0.5", "RobustBench on CIFAR-10"),
        ("L1:12", "Croce and Hein 2021 (AutoAttack in L1) and Maini et al. 2020 on CIFAR-10"),
    )
)
"""The threat models that others report, and who; data sets have their own beside them."""


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Labelled inputs and where they stand in the official split.

    Args:
        inputs: float32 `(N, C, H, W)`, in [0, 1].
        labels: int64 `(N,)`.
        indices: int64 `(N,)`, position of each example in the official split.
    """

    inputs: Tensor
    labels: Tensor
    indices: Tensor

    def __post_init__(self) -> None:
        if not len(self.inputs) == len(self.labels) == len(self.indices):
            raise ValueError(
                "Expected as many `inputs` as `labels` and `indices`, but got "
                f"{len(self.inputs)}, {len(self.labels)} and {len(self.indices)}."
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape `(C, H, W)` of one input."""
        channels, height, width = self.inputs.shape[1:]
        return channels, height, width

    @property
    def in_memory(self) -> bool:
        """Whether the inputs are there without reading anything."""
        return True

    def clone(self) -> Examples:
        """The same examples in tensors of their own."""
        return Examples(inputs=self.inputs.clone(), labels=self.labels.clone(), indices=self.indices.clone())

    def __getitem__(self, which: slice | Tensor) -> Examples:
        """The examples that a slice, a mask or an index tensor picks."""
        return Examples(inputs=self.inputs[which], labels=self.labels[which], indices=self.indices[which])

    def to(self, device: object) -> Examples:
        """The same examples on `device`."""
        return Examples(
            inputs=self.inputs.to(device),  # type: ignore[call-overload]
            labels=self.labels.to(device),  # type: ignore[call-overload]
            indices=self.indices.to(device),  # type: ignore[call-overload]
        )

    def split(self, size: int) -> Iterator[Examples]:
        """Consecutive parts of at most `size` examples."""
        return (self[start : start + size] for start in range(0, len(self), size))


class Classifier(Protocol):
    """From inputs `(N, C, H, W)` in [0, 1] to logits `(N, num_classes)`, deterministic unless it says otherwise."""

    def __call__(self, inputs: Tensor, /) -> Tensor: ...


@dataclass(frozen=True, kw_only=True)
class CascadeRules:
    """Which survivors the later stages of an attack see, and when they see all of them after all.

    Shares are rounded up. All survivors are tried if an audited one breaks, if an input has no gradient, or if
    `largest_gap` is exceeded.

    Args:
        n_on_all: stages that see everything; at least two, the first on cross-entropy, the second on margins.
        closest: share of the survivors, those of smallest margin, that is tried.
        least_closest: at least so many.
        audited: share of the other survivors that is drawn by key and tried.
        least_audited: at least so many.
        largest_gap: share of all examples that the second stage may break after the first. Above it, the first is
            misled. Plainly trained models lie below a tenth, on 64 examples too; models that mask gradients above.
    """

    n_on_all: int = 2
    closest: Fraction = Fraction(1, 20)
    least_closest: int = 4
    audited: Fraction = Fraction(1, 10)
    least_audited: int = 16
    largest_gap: Fraction = Fraction(1, 8)


@dataclass(frozen=True, kw_only=True)
class AuditRules:
    """Which survivors of an attack's first stages its later ones see: those of an audit, whatever else is evaluated.

    All survivors are tried if too many audited ones break, if an input has no gradient, or if `largest_gap` is
    exceeded.

    Args:
        n_on_all: stages that see everything; the first is on margins.
        rate: share of all examples that is audited, by a key of each alone; those that survive until then are tried.
        most_broken: share of the tried ones that may break.
        against: name of an attack of the suite, before this one, on cross-entropy.
        largest_gap: share of all examples that the first stage may break of what that attack left. Above it,
            cross-entropy is misled.
    """

    n_on_all: int = 1
    rate: Fraction = Fraction(1, 16)
    most_broken: Fraction = Fraction(1, 128)
    against: str = "pgd-20"
    largest_gap: Fraction = Fraction(1, 8)


@runtime_checkable
class Attack(Protocol):
    """Searches for adversarial examples. A frozen dataclass: its fields are its parameters.

    This is all that the harness asks of an attack; `bench.attacks.SingleAttack` answers for attacks in one piece.

    Attributes:
        name: how rows and messages call it.
        norms: the norms that it knows.
        stages: what runs, in order, each on the examples that those before it left robust;
            an attack in one piece is its own only stage.
        needs_gradients: whether it cannot run on a model through which no gradient flows.
        logits_only: whether it asks for logits and their gradients alone, so that a faster form of the model will do.
        per_chunk: whether its draws depend on the batch, so that batches have to be the fixed chunks.
        n_passes: about how many passes, forwards or back, an example takes that withstands it; plans are made from it
            before anything is measured.
        leaves_when_broken: whether an example costs no more once it is broken; plans are made from it.
        engine: what runs it; None where there is no choice.
        finish: what float32 steps climb after a search in lower precision; None where it always searches in float32.
        structure: which structure a model has to declare for it to run; None where any model will do. A stage of an
            attack in several is left out on other models.
        cascade_rules: which survivors its later stages see; None where they see all.
    """

    @property
    def name(self) -> str: ...
    @property
    def norms(self) -> frozenset[Norm]: ...
    @property
    def stages(self) -> Sequence[Attack]: ...
    @property
    def needs_gradients(self) -> bool: ...
    @property
    def logits_only(self) -> bool: ...
    @property
    def per_chunk(self) -> bool: ...
    @property
    def n_passes(self) -> int: ...
    @property
    def leaves_when_broken(self) -> bool: ...
    @property
    def engine(self) -> Engine | None: ...
    @property
    def finish(self) -> Finish | None: ...
    @property
    def structure(self) -> Structure | None: ...
    @property
    def cascade_rules(self) -> CascadeRules | AuditRules | None: ...

    def perturb(self, classifier: Classifier, examples: Examples, threat_model: ThreatModel, *, seed: int) -> Tensor:
        """Return one candidate per example, `(N, C, H, W)`: the best iterate seen.

        The harness verifies every candidate; an attack's own idea of success is never used.
        """
        ...
