"""What the measurements of a router say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.analysis.analysis import Claim, ClaimVerdict, Table, Values

__all__ = ["router_claim", "router_table"]


def router_claim(name: str, router: Mapping[str, Mapping[str, float]]) -> Claim:
    """That it tells the types apart: chance is a half on each side, and it has to be above it on both."""
    told_apart = router["none"]["low"] > 0.5 and router["pgd"]["low"] > 0.5
    misled = router["none"]["high"] < 0.5 or router["pgd"]["high"] < 0.5
    verdict = ClaimVerdict.HOLDS if told_apart else ClaimVerdict.FAILS if misled else ClaimVerdict.UNSETTLED
    return Claim(
        text=f"The router of {name} tells clean from adversarial inputs.",
        verdict=verdict.value,
        evidence=(
            f"correct on {_percent(router['none'])} of clean inputs, {_percent(router['pgd'])} of those of PGD-20, and"
            f" {_percent(router['steered'])} of those of PGD-20 that steers it."
        ),
    )


def router_table(routers: Mapping[str, Values]) -> Table:
    """One line for each model with a router."""
    rows = []
    for name, found in routers.items():
        parts = found["layers"]
        change, moved = (np.mean([layer[key]["value"] for layer in parts]) for key in ("change", "moved"))
        distances = [layer["ks"] for layer in parts]
        effective = [layer["effective"]["ks"] for layer in parts if layer["effective"] is not None]
        types = (_percent(found["router"][attack]) for attack in ("none", "pgd", "steered"))
        rows.append((name, *types, f"{100 * change:.0f} %", f"{100 * moved:.1f} %", _mean(distances), _mean(effective)))
    headers = (
        "model",
        "no attack",
        "PGD-20",
        "steered",
        "filters rescaled by",
        "attack moves signals by",
        "KS of signals",
        "KS of effective filters",
    )
    title = (
        "Router: how often the type is named correctly; by how much signals change the norms of the filters on clean"
        " inputs, by how much PGD-20 changes the signals, and the KS distance of the signals, and of the norms of"
        " signal times filter, on clean and adversarial inputs (means over layers)."
    )
    return Table(title=title, headers=headers, rows=tuple(rows))


def _mean(values: Sequence[float]) -> str:
    return f"{np.mean(values):.2f}" if values else "not told apart"


def _percent(found: Mapping[str, float]) -> str:
    return f"{100 * found['value']:.0f} % ({100 * found['low']:.0f} to {100 * found['high']:.0f})"
