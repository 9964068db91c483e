"""Do two rows of one checkpoint, suite and seed say the same? If not: did the model, an attack or rounding change?

A weakened attack shows in its best margins and pass counts before it shows in verdicts, so all three are held against
what rounding alone does. Higher robust accuracy is as suspicious as lower: the weights are the same.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.core.statistics import binomial_tail, signed_rank
from bench.row import AttackCost, AttackResult, Record, fingerprint_distance, parse_indices, unpack_margins

__all__ = ["Agreement", "AttackAgreement", "Cause", "agree"]

# Verdicts that rounding alone flips: at most one in a thousand, measured between batch sizes on the shipped models.
ROUNDING_RATE = 1e-3
# OUR CHOICE: a check that is run at every push may cry wolf once in a thousand attacks.
LEVEL = 1e-3
# Two units in the last place of float16, in which margins are stored: less is no difference.
_STORED = 2.0**-9
# Share of best margins that rounding may move on one kind of machine. Measured with the model in float64 in place of
# float32, 64 examples: none of a one-step attack's or PGD's, and up to 2 in 44 of APGD's.
_TOUCHED = 0.25
# OUR CHOICE: what rounding in lower precision may change of a margin, in units of the usual margin, and of a logit, in
# units of the largest.
_COARSE = 0.02
# OUR CHOICE: the clean margins of one model differ by less between machines, also in reduced precision.
_SAME_MODEL = 0.05
# OUR CHOICE: attacks that stop early take other passes where single verdicts round the other way.
_PASSES = 0.1
_SHOWN = 8


class Cause(str, enum.Enum):
    """What changed between two rows."""

    NOTHING = "nothing"
    ROUNDING = "rounding"
    ATTACK = "attack"
    MODEL = "model"


@dataclass(frozen=True, kw_only=True)
class AttackAgreement:
    """One attack of both rows, on the examples that both have.

    Args:
        name: the attack's name.
        n_examples: examples that both rows have.
        gained: official indices that only the second row calls robust.
        lost: official indices that only the first row calls robust.
        p_flips: the chance of so many flips by rounding alone.
        n_attacked: those that the model gets right, so that they were attacked.
        moved: official indices whose best margin differs, the largest difference first.
        coarse: whether some difference is larger than rounding makes, also in lower precision.
        shift: median difference of the best margins of examples that withstood the attack in both rows, where they
            differ; positive where the attack became weaker.
        p_margins: signed-rank probability that those moved this one-sidedly by chance. Broken examples say nothing: the
            search for them ended somewhere on the way.
        too_many: whether more margins moved than rounding moves on one kind of machine; never on two.
        passes: forwards and backwards per attacked example in the first and in the second row, where both say so and
            they differ.
    """

    name: str
    n_examples: int
    n_attacked: int
    gained: tuple[int, ...]
    lost: tuple[int, ...]
    p_flips: float
    moved: tuple[int, ...]
    coarse: bool
    shift: float
    p_margins: float
    too_many: bool
    passes: tuple[str, str] | None

    @property
    def doubts(self) -> tuple[str, ...]:
        """What rounding does not explain, a few words each."""
        return tuple(self._doubts())

    def _doubts(self) -> Iterator[str]:
        if self.p_flips < LEVEL:
            flipped = (*self.lost, *self.gained)
            yield (
                f"{len(self.lost)} verdicts lost and {len(self.gained)} gained of {self.n_examples}"
                f" (p = {self.p_flips:.1g}; examples {_few(flipped)})"
            )
        if self.p_margins < LEVEL:
            direction = "weaker" if self.shift > 0 else "stronger"
            yield (
                f"best margins of survivors moved by {self.shift:+.2g} in the median, as a {direction} attack's do"
                f" (p = {self.p_margins:.1g}; examples {_few(self.moved)})"
            )
        elif self.too_many:
            yield (
                f"{len(self.moved)} of {self.n_attacked} best margins moved, more than rounding moves"
                f" (examples {_few(self.moved)})"
            )
        if self.passes is not None:
            yield f"passes an example: {self.passes[0]} there, {self.passes[1]} here"


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How two rows of one checkpoint agree.

    Args:
        cause: what changed.
        clean: official indices whose clean verdict or clean margin differs.
        attacks: each attack of the suite.
        apart: how far the fingerprints are apart, see `bench.row.fingerprint.distance`; None where that is unknown.
    """

    cause: Cause
    clean: tuple[int, ...]
    attacks: tuple[AttackAgreement, ...]
    apart: float | None

    @property
    def fine(self) -> bool:
        """Nothing, or nothing but rounding."""
        return self.cause in (Cause.NOTHING, Cause.ROUNDING)

    @property
    def explanation(self) -> str:
        """What was found, one line."""
        if self.cause is Cause.NOTHING:
            return "every verdict, margin and pass count agrees"
        if self.cause is Cause.MODEL:
            if self.clean:
                return f"the model changed: it answers otherwise on clean examples {_few(self.clean)}"
            if self.apart is not None and self.apart > _COARSE:
                return f"the model changed: its logits on fixed inputs differ by {self.apart:.2g} of the largest"
            return (
                "the model changed, or its arithmetic, or what all attacks share: the margins of every attack moved, on"
                f" examples {_few(self.attacks[0].moved)}"
            )
        if self.cause is Cause.ATTACK:
            changed = [f"{each.name}: {'; '.join(each.doubts)}" for each in self.attacks if each.doubts]
            return f"an attack changed: {' | '.join(changed)}"
        moved = max(len(each.moved) for each in self.attacks) if self.attacks else 0
        flips = sum(len(each.gained) + len(each.lost) for each in self.attacks)
        return f"rounding alone: up to {moved} best margins differ, in no direction, and {flips} verdicts"


def agree(first: Record, second: Record) -> Agreement:
    """Compare two rows of one checkpoint, suite, data set, threat model and seed on the examples that both have.

    Args:
        first: the published row.
        second: the new one.

    Raises:
        ValueError: if the rows have other attacks, or no example in common.
    """
    if [each.name for each in first.result.attacks] != [each.name for each in second.result.attacks]:
        raise ValueError("Expected rows of the same attacks.")
    common = _common(first, second)
    if not common:
        raise ValueError("Expected rows with common examples.")
    clean = _clean(first, second, common)
    attacks = tuple(
        _attack((first, old), (second, new), common)
        for old, new in zip(first.result.attacks, second.result.attacks, strict=True)
    )
    apart = fingerprint_distance(first.fingerprint, second.fingerprint)
    cause = Cause.MODEL if (apart or 0.0) > _COARSE else _cause(clean, attacks, len(common))
    return Agreement(cause=cause, clean=clean, attacks=attacks, apart=apart)


def _cause(clean: Sequence[int], attacks: Sequence[AttackAgreement], n_examples: int) -> Cause:
    if binomial_tail(len(clean), n_examples, ROUNDING_RATE) < LEVEL:
        return Cause.MODEL
    doubtful = [each for each in attacks if each.doubts]
    if not doubtful:
        touched = clean or any(each.moved or each.gained or each.lost for each in attacks)
        return Cause.ROUNDING if touched else Cause.NOTHING
    if all(each.too_many or each.p_margins < LEVEL for each in attacks) and len(attacks) > 1:
        # A changed attack leaves the margins of the others alone; the model moves all of them, and so does a coarser
        # arithmetic, which moves them little and in no direction.
        coarser = all(not each.coarse and each.p_margins >= LEVEL and each.p_flips >= LEVEL for each in attacks)
        return Cause.ROUNDING if coarser else Cause.MODEL
    return Cause.ATTACK


def _common(first: Record, second: Record) -> list[int]:
    return sorted(set(parse_indices(first.result.indices)) & set(parse_indices(second.result.indices)))


def _places(record: Record, common: Sequence[int]) -> list[int]:
    place = {index: position for position, index in enumerate(parse_indices(record.result.indices))}
    return [place[index] for index in common]


def _clean(first: Record, second: Record, common: Sequence[int]) -> tuple[int, ...]:
    """Examples on which the model answers otherwise before any attack.

    A row holds the clean margin of every example that the model gets wrong, in place of the attack's.
    """
    verdicts = [_picked(row.result.clean_verdicts(), _places(row, common)) for row in (first, second)]
    margins = [_picked(_margins(row, row.result.attacks[0]), _places(row, common)) for row in (first, second)]
    scale = _median([abs(value) for value in margins[0] if math.isfinite(value)])
    found = []
    for index, was, now, old, new in zip(common, *verdicts, *margins, strict=True):
        wrong_in_both = not was and not now
        if was != now or (wrong_in_both and abs(_difference(old, new)) > _SAME_MODEL * max(abs(old), scale)):
            found.append(index)
    return tuple(found)


def _attack(
    first: tuple[Record, AttackResult], second: tuple[Record, AttackResult], common: Sequence[int]
) -> AttackAgreement:
    """One attack, on the examples that the model of both rows gets right and that were therefore attacked."""
    sides = (first, second)
    clean = [_picked(row.result.clean_verdicts(), _places(row, common)) for row, _ in sides]
    attacked = [right and also for right, also in zip(*clean, strict=True)]
    robust = [_picked(row.result.robust_verdicts(attack), _places(row, common)) for row, attack in sides]
    margins = [_picked(_margins(row, attack), _places(row, common)) for row, attack in sides]
    tried = [place for place, right in enumerate(attacked) if right]
    differences = {common[place]: _difference(margins[0][place], margins[1][place]) for place in tried}
    sizes = {common[place]: max(abs(margins[0][place]), abs(margins[1][place])) for place in tried}
    moved = [index for index, change in differences.items() if abs(change) > _STORED * sizes[index]]
    scale = _median([size for size in sizes.values() if math.isfinite(size)])
    standing = [common[place] for place in tried if robust[0][place] and robust[1][place]]
    changes = [differences[index] for index in standing if differences[index]]
    gained = tuple(common[place] for place in tried if robust[1][place] and not robust[0][place])
    lost = tuple(common[place] for place in tried if robust[0][place] and not robust[1][place])
    return AttackAgreement(
        name=first[1].name,
        n_examples=len(common),
        n_attacked=len(tried),
        gained=gained,
        lost=lost,
        p_flips=binomial_tail(len(gained) + len(lost), len(common), ROUNDING_RATE),
        moved=tuple(sorted(moved, key=lambda index: -abs(differences[index]))),
        coarse=any(abs(differences[index]) > _COARSE * max(sizes[index], scale) for index in moved),
        shift=_median(changes),
        p_margins=signed_rank(changes),
        too_many=_same_machine(first[0], second[0]) and len(moved) > _TOUCHED * len(tried),
        passes=_passes(first[0], second[0], first[1].name, exact=not moved),
    )


def _same_machine(first: Record, second: Record) -> bool:
    """Whether rounding should be the same up to the last bits: kind of device, engine, precision and torch."""
    kinds = [
        (row.cost.device, row.cost.engine, row.cost.precision, row.provenance.versions.get("torch"))
        for row in (first, second)
    ]
    return kinds[0] == kinds[1]


def _passes(first: Record, second: Record, name: str, *, exact: bool) -> tuple[str, str] | None:
    """Passes per attacked example in both rows, where they can be compared and differ.

    An attack that takes the same passes for every example is compared whatever the examples; one that stops early only
    between rows on the same ones, and to the pass only where its margins agree.
    """
    old, new = _cost(first, name), _cost(second, name)
    if old is None or new is None or not first.result.n_clean or not second.result.n_clean:
        return None
    same_examples = first.result.indices == second.result.indices
    each = [(old.forwards, old.backwards, first.result.n_clean), (new.forwards, new.backwards, second.result.n_clean)]
    constant = all(forwards % n_clean == backwards % n_clean == 0 for forwards, backwards, n_clean in each)
    if not constant and not same_examples:
        return None
    pairs = [(each[0][place] / each[0][2], each[1][place] / each[1][2]) for place in (0, 1)]
    allowed = 0.0 if constant or exact else _PASSES
    if all(abs(there - here) <= allowed * max(there, here) for there, here in pairs):
        return None
    there, here = (" and ".join(f"{pair[side]:g}" for pair in pairs) for side in (0, 1))
    return there, here


def _cost(record: Record, name: str) -> AttackCost | None:
    return next((cost for cost in record.cost.attacks if cost.name == name), None)


def _margins(record: Record, attack: AttackResult) -> tuple[float, ...]:
    return unpack_margins(attack.best_margin, record.result.n_examples)


def _difference(old: float, new: float) -> float:
    """By how much a margin rose; two equal infinities differ by nothing."""
    return 0.0 if old == new else new - old


def _median(values: Sequence[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2] if ordered else 0.0


def _picked(values: Sequence[float], places: Sequence[int]) -> list[float]:
    return [values[place] for place in places]


def _few(indices: Sequence[int]) -> str:
    more = " ..." if len(indices) > _SHOWN else ""
    return " ".join(map(str, indices[:_SHOWN])) + more
