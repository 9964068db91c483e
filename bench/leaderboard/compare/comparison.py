"""Two rows, example by example: which verdicts flipped, and whether that is more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from bench.core.statistics import mcnemar
from bench.row import AttackResult, Record, Result, parse_indices, same_function, unpack_margins

__all__ = ["AttackComparison", "Comparison", "Explanation", "compare"]


@dataclass(frozen=True, kw_only=True)
class AttackComparison:
    """One column of two rows, on the examples that both have.

    Args:
        name: an attack's name, "clean", or "robust" for the AND over all.
        n_examples: examples that both rows have.
        n_robust: how many of them are robust in the first row and in the second.
        gained: official indices that are robust in the second row only.
        lost: official indices that are robust in the first row only.
        p: exact two-sided McNemar probability of flips this uneven, were the rows alike.
        largest_margin_change: over examples, of the best margin; None for a column without margins.
    """

    name: str
    n_examples: int
    n_robust: tuple[int, int]
    gained: tuple[int, ...]
    lost: tuple[int, ...]
    p: float
    largest_margin_change: float | None = None

    @property
    def same(self) -> bool:
        """No verdict and no margin differs."""
        return not self.gained and not self.lost and not self.largest_margin_change


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What one column does to the examples that only one of two rows calls robust.

    Args:
        name: an attack's name, or "clean".
        lost: of the examples that are robust in the first row only, how many it takes from the second.
        lost_alone: of those, how many no other attack takes.
        gained: of the examples that are robust in the second row only, how many it takes from the first.
        gained_alone: of those, how many no other attack takes.
    """

    name: str
    lost: int
    lost_alone: int
    gained: int
    gained_alone: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What two rows have in common and where they differ.

    Args:
        obstacles: why the rows cannot be compared; empty where they can.
        same_checkpoint: the weights are the same, and so is the architecture's source, or else the fingerprint.
        same_function: the fingerprints agree; None where a row has none.
        columns: clean, every attack that both rows have, robust; empty where the rows cannot be compared.
        explanations: what makes the difference in the last column: clean, and every attack on what is right when clean.
        headline: the last column less what others broke, which is no part of a result; None where they broke nothing.
        undecided: of each row, how many examples that count as robust an audit leaves open; probabilities take them for
            robust, ranks do not.
    """

    obstacles: tuple[str, ...]
    same_checkpoint: bool
    same_function: bool | None
    columns: tuple[AttackComparison, ...]
    explanations: tuple[Explanation, ...] = ()
    headline: AttackComparison | None = None
    undecided: tuple[int, int] = (0, 0)

    @property
    def comparable(self) -> bool:
        """Whether the rows answer the same question on some common examples."""
        return not self.obstacles

    @property
    def same(self) -> bool:
        """The rows agree on every common example, verdicts and margins."""
        return self.comparable and all(column.same for column in self.columns)


def compare(first: Record, second: Record) -> Comparison:
    """Compare two rows on the examples that both have.

    Only like is compared with like: another suite, dataset, threat model or seed, or no common example, is an obstacle.
    """
    common = _common(first.result, second.result)
    obstacles = _obstacles(first, second, common)
    columns = () if obstacles else _columns(first.result, second.result, common)
    return Comparison(
        obstacles=obstacles,
        same_checkpoint=_same_checkpoint(first, second),
        same_function=same_function(first.fingerprint, second.fingerprint),
        columns=columns,
        explanations=_explain(first.result, second.result, columns[-1]) if columns else (),
        headline=None if obstacles else _headline(first, second, common),
        undecided=(first.n_undecided, second.n_undecided),
    )


def _same_checkpoint(first: Record, second: Record) -> bool:
    """The same weights under the same source, or under one that changed without changing the function."""
    same_source = first.digests.factory == second.digests.factory
    alike = same_source or same_function(first.fingerprint, second.fingerprint) is True
    return alike and first.digests.model == second.digests.model


def _obstacles(first: Record, second: Record, common: Sequence[int]) -> tuple[str, ...]:
    pairs = {
        "suite": (first.suite, second.suite),
        "suite digest": (first.digests.suite, second.digests.suite),
        "dataset": (first.dataset, second.dataset),
        "dataset digest": (first.digests.dataset, second.digests.dataset),
        "threat model": (first.threat_model, second.threat_model),
        "seed": (first.result.seed, second.result.seed),
    }
    if _same_checkpoint(first, second):  # two models of different structure meet different attacks of one suite
        pairs["attacks"] = _attack_names(first), _attack_names(second)
        pairs["surrogates"] = _surrogates(first), _surrogates(second)
    found = [f"{name}: {old!s:.40} and {new!s:.40}" for name, (old, new) in pairs.items() if old != new]
    if not common:
        found.append(f"no common examples: {first.result.indices:.40} and {second.result.indices:.40}")
    return tuple(found)


def _attack_names(row: Record) -> str:
    return ", ".join(attack.name for attack in row.result.attacks)


def _surrogates(row: Record) -> str:
    known = row.black_box.surrogates if row.black_box is not None else {}
    return ", ".join(f"{name} {weights:.8}" for name, weights in known.items()) or "none"


def _common(first: Result, second: Result) -> tuple[int, ...]:
    others = set(parse_indices(second.indices))
    return tuple(sorted(index for index in parse_indices(first.indices) if index in others))


def _columns(first: Result, second: Result, common: Sequence[int]) -> tuple[AttackComparison, ...]:
    places = [_places(result, common) for result in (first, second)]
    attacks = [
        _column(
            old.name,
            common,
            _on(places, (first.robust_verdicts(old), second.robust_verdicts(new))),
            _largest_change(_margins(first, old, places[0]), _margins(second, new, places[1])),
        )
        for old in first.attacks
        for new in second.attacks
        if old.name == new.name
    ]
    clean = _column("clean", common, _on(places, (first.clean_verdicts(), second.clean_verdicts())))
    return (clean, *attacks, _column("robust", common, _on(places, (first.verdicts(), second.verdicts()))))


def _explain(first: Result, second: Result, robust: AttackComparison) -> tuple[Explanation, ...]:
    """Who takes the examples that only one row calls robust; what is wrong when clean is not an attack's doing."""
    lost, gained = _takers(second, robust.lost), _takers(first, robust.gained)
    names = dict.fromkeys(["clean", *(attack.name for attack in (*first.attacks, *second.attacks))])
    return tuple(
        Explanation(
            name=name,
            lost=sum(name in takers for takers in lost),
            lost_alone=lost.count({name}),
            gained=sum(name in takers for takers in gained),
            gained_alone=gained.count({name}),
        )
        for name in names
    )


def _takers(result: Result, indices: Sequence[int]) -> list[set[str]]:
    """For each example, what of `result` calls it not robust: "clean" alone, or attacks."""
    places = _places(result, indices)
    clean = result.clean_verdicts()
    attacks = {attack.name: result.robust_verdicts(attack) for attack in result.attacks}
    return [
        {name for name, robust in attacks.items() if not robust[place]} if clean[place] else {"clean"}
        for place in places
    ]


def _headline(first: Record, second: Record, common: Sequence[int]) -> AttackComparison | None:
    if not first.external_breaks and not second.external_breaks:
        return None
    places = [_places(row.result, common) for row in (first, second)]
    return _column("with others' breaks", common, _on(places, (first.verdicts(), second.verdicts())))


def _on(places: Sequence[Sequence[int]], verdicts: tuple[Sequence[bool], Sequence[bool]]) -> list[list[bool]]:
    """The verdicts of the common examples, in their order."""
    return [[verdict[place] for place in order] for verdict, order in zip(verdicts, places, strict=True)]


def _column(
    name: str, common: Sequence[int], verdicts: Sequence[Sequence[bool]], margin_change: float | None = None
) -> AttackComparison:
    old, new = verdicts
    flips = list(zip(common, old, new, strict=True))
    gained = tuple(index for index, was, now in flips if now and not was)
    lost = tuple(index for index, was, now in flips if was and not now)
    return AttackComparison(
        name=name,
        n_examples=len(common),
        n_robust=(sum(old), sum(new)),
        gained=gained,
        lost=lost,
        p=mcnemar(len(gained), len(lost)),
        largest_margin_change=margin_change,
    )


def _places(result: Result, common: Sequence[int]) -> list[int]:
    place = {index: position for position, index in enumerate(parse_indices(result.indices))}
    return [place[index] for index in common]


def _margins(result: Result, attack: AttackResult, places: Sequence[int]) -> list[float]:
    margins = unpack_margins(attack.best_margin, result.n_examples)
    return [margins[place] for place in places]


def _largest_change(old: Sequence[float], new: Sequence[float]) -> float:
    """Largest difference; two equal infinities differ by nothing."""
    changes = (abs(before - after) for before, after in zip(old, new, strict=True) if before != after)
    return max((change if change == change else inf for change in changes), default=0.0)
