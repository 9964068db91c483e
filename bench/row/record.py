"""The row of the leaderboard: its fields, and what follows from them. Its text is in `serialization`.

Version 2 added, all of it optional: the evidence beside a row, a checksum over the row, numbers that are reported and
never count, the audit behind a cascade's interval, what a search in low precision claimed, and the model's card.
Version 3 added the model's fingerprint, the certificate, and how a black box was asked, optional too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property

from bench.core.errors import ContradictionError
from bench.core.statistics import Interval, wilson
from bench.row.certificate import Certificate
from bench.row.fingerprint import Fingerprint
from bench.row.indices import parse_indices
from bench.row.result import AttackResult, Audit, Diagnostic, Reported, Result, StageCount, expect_count
from bench.row.schema import OPTIONAL
from bench.row.splits import TEST_SPLITS

__all__ = [
    "OWN_SUITE",
    "SCHEMA_VERSION",
    "AttackCost",
    "AttackResult",
    "Audit",
    "BlackBox",
    "Card",
    "Certificate",
    "Cost",
    "Diagnostic",
    "Digests",
    "EvidenceFile",
    "ExternalBreak",
    "Provenance",
    "Record",
    "Reported",
    "Result",
    "StageCount",
]

OWN_SUITE = "own-"
"""How the names of suites start that are not of bench."""
SCHEMA_VERSION = 3
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Digests:
    """What exactly was evaluated: SHA-256 of the suite, the data, the weights and the architecture's source."""

    suite: str
    dataset: str
    model: str
    factory: str


@dataclass(frozen=True, kw_only=True)
class ExternalBreak:
    """Adversarial examples that somebody else found for this very model, verified here.

    The examples themselves lie in the row's external evidence. They lower the headline, and are no part of the suite's
    verdicts.

    Args:
        source: what they were found with, or where they are published; for a transfer, the model they come from.
        by: who found them.
        date: when they were added, as YYYY-MM-DD.
        n: how many.
        indices: of the examples in the official split, ascending.
        row: for a transfer, `row_digest` of the row whose evidence they were.

    Raises:
        ContradictionError: if `n` does not count the indices, or they are not ascending.
    """

    source: str
    by: str
    date: str
    n: int
    indices: tuple[int, ...]
    row: str | None = field(default=None, metadata=OPTIONAL)

    def __post_init__(self) -> None:
        expect_count("external_breaks.n", self.n, len(self.indices), "external_breaks.indices")
        if any(left >= right for left, right in zip(self.indices, self.indices[1:], strict=False)):
            raise ContradictionError("Expected `external_breaks.indices` to be ascending, each once.")


@dataclass(frozen=True, kw_only=True)
class EvidenceFile:
    """A file of adversarial examples beside the row; its name follows from the row's.

    Args:
        sha256: of its bytes, in hexadecimal.
        n_breaks: adversarial examples in it.

    Raises:
        ValueError: if either is none.
    """

    sha256: str
    n_breaks: int

    def __post_init__(self) -> None:
        if not _SHA256.fullmatch(self.sha256):
            raise ValueError(f"Expected `sha256` to be 64 hexadecimal digits, but got {self.sha256!r:.80}.")
        if self.n_breaks < 0:
            raise ValueError(f"Expected `n_breaks` to be at least 0, but got {self.n_breaks}.")


@dataclass(frozen=True, kw_only=True)
class AttackCost:
    """What one attack took.

    Args:
        name: the attack's name.
        seconds: time.
        forwards: examples passed forwards through the model.
        backwards: gradients taken.
        n_claimed: breaks that a search in lower precision claimed; None where there was none.
        n_rejected: of those, how many the original float32 model refused; their share is the reject rate.

    Raises:
        ValueError: if a count or the time is below 0.
    """

    name: str
    seconds: float
    forwards: int
    backwards: int
    n_claimed: int | None = field(default=None, metadata=OPTIONAL)
    n_rejected: int | None = field(default=None, metadata=OPTIONAL)

    def __post_init__(self) -> None:
        counts = (self.seconds, self.forwards, self.backwards, self.n_claimed or 0, self.n_rejected or 0)
        if min(counts) < 0:
            raise ValueError(f"Expected the cost of `{self.name:.60}` to be at least 0, but got {min(counts)}.")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """How the numbers were computed.

    Args:
        engine: what ran the attacks that have a choice.
        precision: of the search: "float32", or "bf16+float32" where a ladder began lower.
        precision_reason: what decided it: "asked for", "measured", or a rule with what it went by; "" in rows from
            before rules.
        device: the machine's name.
        batch_size: the smallest that was used (it halves when memory runs out).
        attacks: one for each column.
        budget_seconds: the time that the number of examples was chosen for; None where the user chose them.
    """

    engine: str
    precision: str
    device: str
    batch_size: int
    attacks: tuple[AttackCost, ...]
    precision_reason: str = field(default="", metadata=OPTIONAL)
    budget_seconds: float | None = field(default=None, metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True)
class BlackBox:
    """How a model was attacked that was asked for answers alone: what it withstood is an upper bound.

    Args:
        queries: most that the attacks together asked about an example.
        gradient: whether the model gives one, so that attacks which use it could have run.
        surrogates: models that examples were transferred from, by name, each with the digest of its weights.

    Raises:
        ValueError: if the budget is below 1, or a digest is none.
    """

    queries: int
    gradient: bool
    surrogates: dict[str, str]

    def __post_init__(self) -> None:
        if self.queries < 1:
            raise ValueError(f"Expected `queries` to be at least 1, but got {self.queries}.")
        strange = next((each for each in self.surrogates.values() if not _SHA256.fullmatch(each)), None)
        if strange is not None:
            raise ValueError(
                f"Expected the digest of a surrogate to be 64 hexadecimal digits, but got {strange!r:.80}."
            )

    @property
    def doubt(self) -> str:
        """What the row says beside its number."""
        return f"{'black box' if self.gradient else 'no gradient'}: upper bound"


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where the row comes from."""

    commit: str | None
    versions: dict[str, str]
    date: str
    command: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """What the model is, for readers of the board; no part of the result.

    Args:
        title: its name as people write it.
        reference: its paper or page.
        architecture: the network.
        n_parameters: how many numbers were trained.
        extra_data: "no", or which data beside the dataset's training split; None where nobody said.
        epochs: of its training, as its manifest has them; None where nobody said.
        remarks: on how it was loaded and asked, a sentence each.
    """

    title: str
    reference: str
    architecture: str
    n_parameters: int
    extra_data: str | None
    epochs: int | None = field(default=None, metadata=OPTIONAL)
    remarks: tuple[str, ...] = field(default=(), metadata=OPTIONAL)


@dataclass(frozen=True, kw_only=True)
class Record:
    """One row of the leaderboard.

    Args:
        schema_version: of its JSON.
        model: the model's name.
        dataset: what it was evaluated on.
        threat_model: what the attacker may do.
        suite: name and version.
        digests: what exactly was evaluated.
        fingerprint: the model's logits on fixed inputs of the data; None, which is unknown, in rows from before.
        result: what was found; equal between two runs of the same thing.
        external_breaks: what others found; it lowers `n_robust` below `result.n_robust`.
        evidence: the file with one break per broken example; None in rows that were written without.
        external_evidence: the file with the external breaks.
        certificate: of which examples is proved that nothing breaks them; None where nobody tried.
        black_box: of a suite that asks for answers alone, with which means; None of any other.
        cost: how it was computed.
        provenance: where it comes from.
        card: what the model is; None in rows from before cards.
        not_run: what failed after the attacks, so that the row has none of it: "evidence", "card", "provenance", or the
            name of what would be reported, each with the reason. A check that failed says so itself.
        preprocessing: how pixels were made of image files, such as "Resize(256, bilinear), CenterCrop(224)"; part of
            the dataset's digest. None where the dataset does not lie in image files.

    Raises:
        ContradictionError: if an example of the row is none of its data set, or an external break of none of the row.
    """

    schema_version: int = SCHEMA_VERSION
    model: str
    dataset: str
    threat_model: str
    suite: str
    digests: Digests
    fingerprint: Fingerprint | None = field(default=None, metadata=OPTIONAL)
    result: Result
    external_breaks: tuple[ExternalBreak, ...] = ()
    evidence: EvidenceFile | None = field(default=None, metadata=OPTIONAL)
    external_evidence: EvidenceFile | None = field(default=None, metadata=OPTIONAL)
    certificate: Certificate | None = field(default=None, metadata=OPTIONAL)
    black_box: BlackBox | None = field(default=None, metadata=OPTIONAL)
    cost: Cost
    provenance: Provenance
    card: Card | None = field(default=None, metadata=OPTIONAL)
    not_run: dict[str, str] = field(default_factory=dict, metadata=OPTIONAL)
    preprocessing: str | None = field(default=None, metadata=OPTIONAL)

    def __post_init__(self) -> None:
        indices = parse_indices(self.result.indices)
        split = TEST_SPLITS.get(self.dataset)
        if split is not None and max(indices) >= split.size:
            raise ContradictionError(
                f"Expected examples of {self.dataset} below {split.size}, but got {self.result.indices:.60}."
            )
        for what, found in (("external_breaks", self.broken_by_others()), ("certificate", self._tried_to_certify())):
            strangers = found - set(indices)
            if strangers:
                raise ContradictionError(f"Expected `{what}` of the row's examples, but got {min(strangers)}.")
        if self.certificate is not None and self.certificate.model != self.digests.model:
            raise ContradictionError(
                f"Expected `certificate` of the row's weights {self.digests.model:.12},"
                f" but got {self.certificate.model:.12}."
            )

    def verdicts(self) -> tuple[bool, ...]:
        """Whether each example is correct, withstood every attack of the suite, and nobody else broke it."""
        return self._verdicts

    @cached_property
    def _verdicts(self) -> tuple[bool, ...]:
        broken = self.broken_by_others()
        if not broken:
            return self.result.verdicts()
        indices = parse_indices(self.result.indices)
        return tuple(
            robust and index not in broken for index, robust in zip(indices, self.result.verdicts(), strict=True)
        )

    def broken_by_others(self) -> frozenset[int]:
        """Indices of the examples of which others found a break, whether or not the suite had."""
        return frozenset(index for found in self.external_breaks for index in found.indices)

    def certified(self) -> tuple[bool, ...]:
        """Whether of each example is proved that nothing breaks it; nothing is where nobody tried."""
        proved = frozenset() if self.certificate is None else self.certificate.proved_indices()
        return tuple(index in proved for index in parse_indices(self.result.indices))

    def contradicted(self) -> tuple[int, ...]:
        """Indices of the examples that are proved to be robust, and are not: either the proof or the row is wrong."""
        found = zip(parse_indices(self.result.indices), self.certified(), self.verdicts(), strict=True)
        return tuple(index for index, proved, robust in found if proved and not robust)

    def _tried_to_certify(self) -> frozenset[int]:
        return frozenset() if self.certificate is None else frozenset(parse_indices(self.certificate.indices))

    @property
    def n_robust(self) -> int:
        """The headline: examples robust to the suite and to what others found; `result.n_robust` is the suite's own."""
        return sum(self.verdicts())

    @property
    def n_external(self) -> int:
        """Examples that withstood the suite and that others broke."""
        return self.result.n_robust - self.n_robust

    @property
    def n_undecided(self) -> int:
        """How many of the robust examples may be lost to what an audit did not try on them; 0 without one."""
        result = self.result
        return 0 if result.audit is None else min(self.n_robust, result.n_robust - result.audit.at_least)

    @property
    def robust_interval(self) -> Interval:
        """Wilson's; for a cascade, from the lower end of what is certain to the upper end of what is possible."""
        return wilson(self.n_robust, self.result.n_examples, n_undecided=self.n_undecided)

    @property
    def upper_bound_only(self) -> bool:
        """Whether a diagnostic failed: the robust accuracy is no more than an upper bound, and takes no rank."""
        return any(diagnostic.failed for diagnostic in self.result.diagnostics)

    @property
    def unfinished(self) -> dict[str, str]:
        """All that failed after the attacks, checks too, each with the reason; the same run does it again."""
        checks = {check.id: check.evidence for check in self.result.diagnostics if not check.ran}
        return {**{name: evidence.removeprefix("not run: ") for name, evidence in checks.items()}, **self.not_run}
